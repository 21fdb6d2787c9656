"""Should I INT8? Facts of a processor, a board and an engine in; what follows from them out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy import devices
from edgedeploy.runtime import choosing
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edgedeploy.devices import Device
    from edgedeploy.meters.cpu import Cpu
    from edgedeploy.runtime.manifest import Manifest

_CPU_BACKENDS = ("ort", "openvino")
_SHOWN = 3
# A turn in which INT8 was this much faster forbids to say that it gains nothing.
_TELLING = 1.25
_LIKELY = {
    "ort": "ONNX Runtime has no INT8 kernel for them, or something between their Q/DQ pairs",
    "openvino": "the device has no INT8 kernel for them",
    "trt": "TensorRT timed a float kernel as faster, or could not fuse their Q/DQ pairs",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """What to know before INT8 is deployed.

    Attributes:
        subject: What it is about, e.g. ``"ort int8"``, or the path of an artifact.
        problem: What is so here.
        fix: What to do about it, or to use instead.
    """

    subject: str
    problem: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How much faster INT8 was than another type, on one block of a MobileNet, on this machine.

    Attributes:
        backend: Which library.
        against: The other type.
        ratio: Time of the other type over that of INT8, median of the turns: above 1, INT8 is
            faster.
        low: The lowest of the turns.
        high: The highest.
        turns: How often both were timed, one after the other.
    """

    backend: str
    against: Precision
    ratio: float
    low: float
    high: float
    turns: int

    def __str__(self) -> str:
        spread = f"{self.low:.2f} to {self.high:.2f} in {self.turns} turns"
        return f"{self.ratio:.2f} times the speed of {self.against.value} ({spread})"


def to_json(rows: Sequence[Advice] | Sequence[Gain]) -> list[dict[str, Any]]:
    """Return advice, or gains, as JSON values."""
    documents = [asdict(row) for row in rows]
    for document in documents:
        if "against" in document:
            document["against"] = document["against"].value
    return documents


def on_machine(
    backend: str,
    *,
    runs: Collection[Precision],
    cpu: Cpu,
    device: Device,
    gains: Sequence[Gain] = (),
) -> tuple[Advice, ...]:
    """Say why INT8 cannot help with a backend on a machine, if that is known.

    Args:
        backend: Its name.
        runs: The types in which it really runs there; empty where it does not run.
        cpu: The processor.
        device: The board.
        gains: What was measured there, of any backend.
    """
    subject = f"{backend} int8"
    if backend == "trt" and device.is_jetson and not device.int8:
        return (_no_int8_gpu(subject, device.title, device.compute_capability),)
    if not runs:
        return ()
    if Precision.INT8 not in runs:
        names = ", ".join(sorted(precision.value for precision in runs))
        problem = f"{backend} runs here in {names}, and not in int8"
        return (Advice(subject, problem, f"use {_fastest_float(runs)}"),)
    own = [gain for gain in gains if gain.backend == backend]
    if own:
        return _measured(subject, min(own, key=lambda gain: gain.ratio))
    if backend in _CPU_BACKENDS and (lacking := _lacking(cpu)):
        return (Advice(subject, lacking, "measure it here: edgedeploy doctor --measure"),)
    return ()


def on_artifact(
    path: str,
    manifest: Manifest,
    *,
    cpu: Cpu,
    siblings: Sequence[str] = (),
) -> tuple[Advice, ...]:
    """Say what is known of an INT8 artifact on the machine that built it.

    Args:
        path: Of the artifact.
        manifest: Its own.
        cpu: The processor.
        siblings: Paths of the same model's artifacts of the same backend in other types.
    """
    if manifest.precision != "int8":
        return ()
    rows = [*_unmet(path, manifest, cpu), *_fallen_back(path, manifest)]
    capability = manifest.runs_on.get("compute_capability")
    if capability is not None and Precision.INT8 not in devices.gpu_precisions(capability):
        return (*rows, _no_int8_gpu(path, str(manifest.runs_on.get("gpu")), capability))
    on_cpu = manifest.backend == "ort" or manifest.options.get("ov_device") in ("CPU", "AUTO")
    lacking = _lacking(cpu) if on_cpu and manifest.backend in _CPU_BACKENDS else None
    unknown = lacking or "it has not been measured whether INT8 is faster here"
    if siblings:
        in_turns = "--ab " if len(siblings) == 1 else ""
        check = f"compare: edgedeploy profile {in_turns}{' '.join((*siblings, path))}"
        rows.append(Advice(path, unknown, check))
    elif lacking:
        check = "build --fp32 too, and compare with: edgedeploy profile"
        rows.append(Advice(path, unknown, check))
    return tuple(rows)


def _unmet(path: str, manifest: Manifest, cpu: Cpu) -> list[Advice]:
    reason = choosing.unmet_need(manifest, None, cpu.x86_flags)
    if reason is None:
        return []
    return [Advice(path, f"{reason}, as on this one", "to run it here, build with --x86 any")]


def _fallen_back(path: str, manifest: Manifest) -> list[Advice]:
    asked, running = manifest.quantised, manifest.runs.get("int8", 0)
    if not manifest.runs or asked is None or running >= asked:
        return []
    names = manifest.fell_back
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" * (len(names) > _SHOWN))
    return [
        Advice(
            path,
            f"{asked - running} of {asked} quantised layers run in a float type"
            + (f": {shown}" if names else ""),
            f"compare it with a float artifact (edgedeploy profile, edgedeploy eval); likely "
            f"{_LIKELY[manifest.backend]}",
        )
    ]


def _measured(subject: str, gain: Gain) -> tuple[Advice, ...]:
    """Judge INT8 by the type that it gains least against."""
    use = f"use --{gain.against.value}; your own model decides: edgedeploy profile"
    if gain.high < 1:
        problem = f"INT8 is slower here, measured: {gain}"
        return (Advice(subject, problem, use),)
    if gain.low > 1:
        return ()
    if gain.high > _TELLING:
        problem = f"whether INT8 is faster here cannot be told: {gain}"
        return (Advice(subject, problem, "measure again while nothing else runs"),)
    problem = f"INT8 is not measurably faster here: {gain}"
    return (Advice(subject, problem, use),)


def _lacking(cpu: Cpu) -> str | None:
    """Return what a processor lacks for fast INT8, or None."""
    if not cpu.multiplies_bytes_exactly:
        return "this processor has neither VNNI nor AMX: INT8 gains less here, or nothing"
    if cpu.arm_features and "asimddp" not in cpu.arm_features:
        return "this processor has no INT8 dot product (asimddp): INT8 gains less here, or nothing"
    return None


def _no_int8_gpu(subject: str, gpu: str, capability: str | None) -> Advice:
    runs = devices.gpu_precisions(capability) if capability else (Precision.FP32,)
    return Advice(
        subject,
        f"the GPU of {gpu} has compute capability {capability}, without INT8 arithmetic",
        f"use {_fastest_float(runs)}",
    )


def _fastest_float(runs: Collection[Precision]) -> str:
    order = (Precision.FP16, Precision.BF16, Precision.FP32)
    return f"--{next(p for p in order if p in runs).value}"
