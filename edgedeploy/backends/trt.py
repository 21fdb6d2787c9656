"""TensorRT: an engine for one GPU and one TensorRT; TensorRT-RTX where only that is installed."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from edgedeploy.backends import source_nodes
from edgedeploy.errors import BuildError, UnsupportedError, UsageError
from edgedeploy.runtime import (
    cuda_memory,
    trt_api,
    trt_build,
    trt_dialects,
    trt_timing_cache,
    trt_tune,
)
from edgedeploy.source_forms import SourceForm, trt_form
from edgedeploy.types import Built, Precision, no_steps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.types import BuildSpec, Steps

trt = trt_api.library()

_log = logging.getLogger(__name__)


def version() -> str:
    """Return the version of TensorRT, or of TensorRT-RTX."""
    return str(trt.__version__)


def precisions() -> frozenset[Precision]:
    """Return what `build` accepts."""
    return frozenset({Precision.FP32, Precision.FP16, Precision.INT8})


def source_form(spec: BuildSpec) -> SourceForm:
    """Return what this generation of TensorRT reads.

    Raises:
        UnsupportedError: It has no such INT8 mode, or drives no DLA.
    """
    return trt_form(trt_dialects.of(trt), spec.precision, _int8_mode(spec))


def candidates(spec: BuildSpec) -> tuple[BuildSpec, ...]:
    """Return ``spec`` once for every INT8 mode that this TensorRT has, where it is to be tuned.

    Raises:
        UsageError: They are to be compared, and there is no GPU to time them on.
    """
    if not spec.trt.tune or spec.precision is not Precision.INT8 or spec.trt.int8_mode != "auto":
        return (spec,)
    dla = spec.trt.dla_core is not None
    modes = trt_dialects.int8_modes(trt_dialects.of(trt), dla=dla)
    if len(modes) == 1:
        raise UsageError(
            f"--tune compares INT8 modes, and {trt_dialects.title(trt_dialects.of(trt))} has "
            f"{modes[0]} only{' on a DLA' if dla else ''}",
            fix="leave --tune out",
        )
    if cuda_memory.find_gpu() is None:
        raise UsageError(
            f"--tune compares the INT8 modes {', '.join(modes)} on the GPU, and none is here",
            fix="leave --tune out, or build on the machine with the GPU",
        )
    return tuple(replace(spec, trt=spec.trt._replace(int8_mode=mode)) for mode in modes)


def fits(runs_on: Mapping[str, object]) -> bool:
    """Return whether an engine is for the GPU that is here; every other one is built again."""
    bound = (runs_on.get("gpu"), runs_on.get("compute_capability"))
    if bound[0] is None or runs_on.get("hardware_compatible"):
        return True
    return bound == cuda_memory.find_gpu()


def build(source: Path, spec: BuildSpec, folder: Path, *, progress: Steps = no_steps) -> Built:
    """Compile ``source`` and keep it beside the engine, so that a board can build its own from it.

    Two builds of one source differ: TensorRT times its kernels and takes the fastest. What it has
    timed is kept for the next build, in the folder of `trt_timing_cache.chosen_folder`.

    Raises:
        BuildError: TensorRT refused the model, or it is quantised with uint8.
        UnsupportedError: This TensorRT, or this GPU, does not have what is asked.
    """
    source_nodes.refuse_uint8(source)
    kept = _copied(source, folder / trt_build.SOURCE)
    mode = _int8_mode(spec) if spec.precision is Precision.INT8 else None
    cache = None
    if mode == "implicit":
        cache = _copied(source.with_name(trt_build.CACHE), folder / trt_build.CACHE)
    engine = folder / trt_build.ENGINE
    report = _build_engine(kept, engine, spec, mode, cache, progress=_logged(progress))
    if report.log:
        _log.info("%s %s warned:\n%s", report.library, report.version, report.log)
    return Built(
        engine=trt_build.ENGINE,
        files=(*report.files, kept.name, *([cache.name] if cache else [])),
        runs=report.runs,
        runs_on=report.runs_on,
        floats=report.floats,
        int8_mode=report.int8_mode,
        gpu_fallback=report.gpu_fallback,
        latency_ms=_latency_ms(engine, spec),
    )


def _build_engine(
    source: Path,
    engine: Path,
    spec: BuildSpec,
    mode: str | None,
    cache: Path | None,
    *,
    progress: Steps,
) -> trt_build.BuildReport:
    try:
        return trt_build.build_engine(
            str(source),
            str(engine),
            precision=spec.precision.value,
            options=spec.trt,
            int8_mode=mode,
            cache=None if cache is None else str(cache),
            timing_cache=trt_timing_cache.chosen_folder(),
            progress=progress,
            trt=trt,
        )
    except BuildError as error:
        named = source_nodes.name_numbers(error.problem, source)
        raise BuildError(named, fix=error.fix) from error


def _int8_mode(spec: BuildSpec) -> str:
    dla = spec.trt.dla_core is not None
    return trt_dialects.int8_mode(trt_dialects.of(trt), spec.trt.int8_mode, dla=dla)


def _copied(file: Path, target: Path) -> Path:
    target.write_bytes(file.read_bytes())
    return target


def _logged(progress: Steps) -> Steps:
    def step(phase: str, done: int, total: int) -> None:
        if done == 0:
            _log.info("%s (%d steps)", phase, total)
        progress(phase, done, total)

    return step


def _latency_ms(engine: Path, spec: BuildSpec) -> float | None:
    """Return the median time of a call where engines are to be compared, on this GPU."""
    if not spec.trt.tune or spec.precision is not Precision.INT8:
        return None
    try:
        cuda = cuda_memory.open_gpu()
    except UnsupportedError:
        return None  # `candidates` made one engine only, there is nothing to compare it with
    options = spec.trt
    return trt_tune.latency_ms(trt, cuda, str(engine), options.batch[1], dla_core=options.dla_core)
