"""From a model to an engine in a folder; of several ways to say the same, the fastest."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import preparing, trt_cache
from edgedeploy.errors import BuildError, UnsupportedError
from edgedeploy.runtime import trt_build
from edgedeploy.types import Precision, no_steps

if TYPE_CHECKING:
    from edgedeploy.backends.base import Backend
    from edgedeploy.calibration_values import Calibration
    from edgedeploy.source_forms import SourceForm
    from edgedeploy.types import BuildSpec, Built, OnnxModel, Steps

_log = logging.getLogger(__name__)


def compile_fastest(
    backend: Backend,
    model: OnnxModel,
    spec: BuildSpec,
    calibration: Calibration | None,
    folder: Path,
    *,
    progress: Steps = no_steps,
) -> tuple[Built, dict[str, Any]]:
    """Compile the backend's candidates for ``spec``, and leave the fastest in ``folder``.

    Args:
        backend: Compiles.
        model: Float, as it was exported.
        spec: What to build.
        calibration: Of this very model; required for INT8.
        folder: Empty.
        progress: Told what the vendor tells.

    Returns:
        What was built, and what the manifest says of its precision: ``runs``; for INT8
        ``quantised``, ``fell_back``, ``int8_mode``; ``gpu_fallback``; and ``tried``, by INT8 mode,
        where there were several candidates.

    Raises:
        BuildError: The vendor refused the model, in every mode.
        UnsupportedError: The backend cannot build this here.
    """
    specs = backend.candidates(spec)
    if len(specs) == 1:
        return _compile(backend, model, specs[0], calibration, folder, progress=progress)
    made: dict[Path, tuple[Built, dict[str, Any]]] = {}
    tried: dict[str, dict[str, object]] = {}
    refusals: list[BuildError | UnsupportedError] = []
    for candidate in specs:
        mode = candidate.trt.int8_mode
        inner = folder / mode
        inner.mkdir()
        try:
            made[inner] = _compile(backend, model, candidate, calibration, inner, progress=progress)
        except (BuildError, UnsupportedError) as error:
            refusals.append(error)
            tried[mode] = {"latency_ms": None, "reason": error.problem}
        else:
            tried[mode] = {"latency_ms": made[inner][0].latency_ms}
        _log.info("INT8 mode %s: %s", mode, tried[mode])
    if not made:
        raise refusals[0]
    best = min(made, key=lambda inner: made[inner][0].latency_ms or math.inf)
    for path in best.iterdir():
        path.rename(folder / path.name)
    for candidate in specs:
        shutil.rmtree(folder / candidate.trt.int8_mode)
    built, about = made[best]
    return built, {**about, "tried": tried}


def _compile(
    backend: Backend,
    model: OnnxModel,
    spec: BuildSpec,
    calibration: Calibration | None,
    folder: Path,
    *,
    progress: Steps,
) -> tuple[Built, dict[str, Any]]:
    """Make a source in the form that the backend wants, and compile it into ``folder``."""
    form = backend.source_form(spec)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, trt_build.SOURCE)
        data = preparing.source(model, form, calibration, x86=spec.x86)
        path.write_bytes(data)
        if form.corrected and calibration is not None:
            digits = trt_cache.digits(backend.version())
            cache = preparing.calibration_cache(data, calibration, version=digits)
            path.with_name(trt_build.CACHE).write_bytes(cache)
        try:
            built = backend.build(path, spec, folder, progress=progress)
        except BuildError as error:
            raise BuildError(f"{model.path}: {error.problem}", fix=error.fix) from error
    about: dict[str, Any] = {"runs": dict(built.runs)}
    if spec.precision is Precision.INT8:
        about |= _in_integers(data, form, built)
    if built.int8_mode is not None:
        about["int8_mode"] = built.int8_mode
    if built.gpu_fallback:
        about["gpu_fallback"] = list(built.gpu_fallback)
    return built, about


def _in_integers(source: bytes, form: SourceForm, built: Built) -> dict[str, object]:
    """Return how many layers the source quantised, and which of them the engine runs in float."""
    import onnx

    from edgedeploy.graph.integers import layers

    asked = layers(onnx.ModelProto.FromString(source).graph, implicit=form.corrected)
    return {"quantised": asked.quantised, "fell_back": list(asked.fell_back(built.floats))}
