"""What to type into trtexec, to build an artifact's engine or to measure it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.errors import UnsupportedError, UsageError
from edgedeploy.runtime import trt_build, trt_dialects, trt_options
from edgedeploy.trtexec.artifacts import check, int8_mode, is_typed
from edgedeploy.trtexec.flags import numbers, spell
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from edgedeploy.runtime.manifest import Manifest
    from edgedeploy.runtime.trt_options import TrtOptions
    from edgedeploy.trtexec.flags import Version

# p99 needs that many; see `stats.required_samples`.
_RUNS = 662
_WARM_UP_MS = 2000
_AVERAGES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """What is asked of trtexec beyond what the artifact says. The CLI makes this, nothing else.

    Attributes:
        program: How it is called on the machine that runs it.
        folder: Where the artifact lies there.
        measure: Time the engine instead of building it.
        duration_s: Seconds that the timed calls last, at least.
        cuda_graph: Replay the engine as a CUDA graph, as our own sessions do.
        spin_wait: Wait for the GPU busily: steadier, and a CPU core is lost to it.
        timing_cache: TensorRT's timing cache to use and to extend; None: none.

    Raises:
        UsageError: The duration is out of its range.
    """

    program: str
    folder: str
    measure: bool = False
    duration_s: int = 10
    cuda_graph: bool = True
    spin_wait: bool = False
    timing_cache: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.duration_s <= 3600:
            raise UsageError(
                f"the duration is {self.duration_s} s", fix="pass 1 to 3600 seconds, e.g. 10"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One call of trtexec.

    Attributes:
        argv: The words.
        version: The TensorRT that they are for.
        log: Where its output goes, errors and warnings included.
        times: Where it writes the time of every query; None where it only builds.
    """

    argv: tuple[str, ...]
    version: str
    log: str
    times: str | None

    @property
    def text(self) -> str:
        """The line to type, quoted for a POSIX shell."""
        return f"{shlex.join(self.argv)} > {shlex.quote(self.log)} 2>&1"


def command(manifest: Manifest, version: str, spec: CommandSpec) -> Command:
    """Return the call that builds or measures an artifact's engine.

    Args:
        manifest: Of the artifact.
        version: Of the TensorRT that trtexec comes with; `artifacts.version_for` finds it.
        spec: What else is asked.

    Raises:
        UnsupportedError: The artifact is not TensorRT's, its source is not for that version, or
            that version cannot be told one of the artifact's options.
        ArtifactError: The artifact lacks a file, or its engine is of another version.
    """
    options = trt_options.from_json(manifest.options)
    check(manifest, version, measure=spec.measure)
    known = numbers(version)
    stem = re.sub(r"[^\w.+-]", "_", f"{manifest.model}-trt-{manifest.precision}")
    if not spec.measure:
        words = _building(manifest, options, known, spec)
        return Command(
            argv=(spec.program, *words), version=version, log=f"{stem}.build.log", times=None
        )
    times = f"{stem}.times.json"
    words = _measuring(manifest, options, known, spec, times)
    return Command(
        argv=(spec.program, *words), version=version, log=f"{stem}.trtexec.log", times=times
    )


def shape(manifest: Manifest, batch: int) -> str:
    """Return a batch's shape as trtexec writes it: ``image:1x3x224x224``.

    Raises:
        UnsupportedError: trtexec cannot be told this input's name or size.
    """
    name, (_, *rest) = manifest.input.name, manifest.input.shape
    if not re.fullmatch(r"[^\s,':=]+(:[^\s,':=]+)*", name) or not name.isprintable():
        raise UnsupportedError(
            f"the input is called {name!r}, and trtexec splits its arguments at such characters",
            fix="rename the input in the ONNX file, or build with edgedeploy on the board",
        )
    if None in rest:
        raise UnsupportedError(
            f"the input {name!r} has shape {manifest.input.shape}, TensorRT's is fixed",
            fix="build it again with --resolution",
        )
    return f"{name}:{'x'.join(map(str, (batch, *rest)))}"


def _building(
    manifest: Manifest, options: TrtOptions, version: Version, spec: CommandSpec
) -> list[str]:
    folder = spec.folder.rstrip("/") or "/"
    said: list[tuple[str, object]] = [
        ("source", f"{folder}/{trt_build.SOURCE}"),
        ("save", f"{folder}/{manifest.engine}"),
        ("build only", ""),
        ("workspace", options.workspace_mb),
        ("no tf32", ""),
        ("detail", ""),
        *_types(manifest, version, folder),
    ]
    if manifest.input.shape[0] is None:
        sizes = zip(("smallest", "best", "largest"), options.batch, strict=True)
        said += [(word, shape(manifest, batch)) for word, batch in sizes]
    if options.optimization_level is not None:
        said.append(("optimisation level", options.optimization_level))
    if options.version_compatible:
        said += [("version-compatible", ""), ("no lean runtime", "")]
    if options.hardware_compatible is not None:
        said.append((options.hardware_compatible, ""))
    if options.dla_core is not None:
        said += [("dla", options.dla_core), ("gpu fallback", "")]
    if spec.timing_cache is not None:
        said.append(("timing cache", spec.timing_cache))
    return [word for name, value in said for word in spell(name, version, value)]


def _types(manifest: Manifest, version: Version, folder: str) -> list[tuple[str, object]]:
    """Say the precision; INT8 alone would leave what has no INT8 kernel in FP32."""
    if is_typed(trt_dialects.for_version(".".join(map(str, version))), manifest):
        return [("typed", "")]
    flags: dict[str, list[tuple[str, object]]] = {
        Precision.FP32.value: [],
        Precision.FP16.value: [("fp16", "")],
        Precision.INT8.value: [("fp16", ""), ("int8", "")],
    }
    said = flags[manifest.precision]
    if int8_mode(manifest) == "implicit":
        said.append(("cache", f"{folder}/{trt_build.CACHE}"))
    return said


def _measuring(
    manifest: Manifest, options: TrtOptions, version: Version, spec: CommandSpec, times: str
) -> list[str]:
    """Say what makes a latency mean the same in every version: copies in, compute, copies out."""
    folder = spec.folder.rstrip("/") or "/"
    said: list[tuple[str, object]] = [
        ("load", f"{folder}/{manifest.engine}"),
        ("warm-up", _WARM_UP_MS),
        ("duration", spec.duration_s),
        ("iterations", _RUNS),
        ("averages", _AVERAGES),
        ("one by one", ""),
        ("transfers", ""),
        ("graph" if spec.cuda_graph else "no graph", ""),
        ("spin" if spec.spin_wait else "no spin", ""),
        ("times", times),
    ]
    if manifest.input.shape[0] is None:
        said.insert(1, ("shapes", shape(manifest, options.batch[1])))
    if options.dla_core is not None:
        said.insert(1, ("dla", options.dla_core))
    return [word for name, value in said for word in spell(name, version, value)]
