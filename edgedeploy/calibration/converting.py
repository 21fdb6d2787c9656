"""Calibrations to TensorRT's text cache and back, with nothing lost that TensorRT reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from edgedeploy import model_file, preparing, trt_cache
from edgedeploy.calibration import checking
from edgedeploy.calibration_values import Calibration, QdqStyle, TensorRange
from edgedeploy.errors import FileError, UsageError
from edgedeploy.files import write_together
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import is_never_negative

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.trt_cache import TrtCache
    from edgedeploy.types import OnnxModel

IMPORTED = "imported:"
_LEVELS = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a cache became.

    Attributes:
        calibration: With a range for every tensor that TensorRT's style quantises.
        unknown: Tensors of the cache that the model does not have; they are left out.
        only_u8: Tensors without a range that only the style u8 needs: while there are any, the
            calibration serves TensorRT, and neither ort nor openvino.
    """

    calibration: Calibration
    unknown: tuple[str, ...]
    only_u8: tuple[str, ...]


def range_of(scale: float, *, never_negative: bool = False) -> TensorRange:
    """Return a range whose scale is ``scale``, bit for bit.

    It ends at the float32 next to 127 · scale, which gives a ReLU6 its 6 again, unless that has
    another scale; 127 · scale itself is exact in float64.

    Args:
        scale: A float32 above 0.
        never_negative: Let the range begin at 0, which the style u8 gains a bit from.
    """
    high = _LEVELS * scale
    with np.errstate(over="ignore"):
        rounded = float(np.float32(high))
        if np.float32(rounded / _LEVELS) == scale:
            high = rounded
    low = 0.0 if never_negative else -high
    return TensorRange(min=low, max=high, low=low, high=high)


def to_trt_cache(
    calibration: Calibration, *, version: str | None = None, algorithm: str | None = None
) -> TrtCache:
    """Return the cache with a scale for every tensor of a calibration.

    Args:
        calibration: Any.
        version: Digits of TensorRT's version. None: those that it was imported with, else 8201.
        algorithm: Of the calibrator. None: as for ``version``, else EntropyCalibration2.

    Raises:
        UnknownNameError: TensorRT has no such algorithm.
        UsageError: The version is not made of digits.
    """
    header = _header(calibration, version, algorithm)
    return trt_cache.of_ranges(calibration.ranges, version=header[0], algorithm=header[1])


def from_trt_cache(cache: TrtCache, model: OnnxModel, *, source: str = "the cache") -> Imported:
    """Make a calibration of a cache, so that it also serves TensorRT 11, which reads none.

    What pictures it was made with nobody knows any more; that it was made with this model's
    weights and preprocessing is the caller's word.

    Args:
        cache: As TensorRT wrote it.
        model: Whose tensors it names; with its size and preprocessing.
        source: What to call the cache in messages.

    Raises:
        UsageError: The model's size or preprocessing is not known.
        FileError: A tensor that TensorRT's style quantises is not in the cache.
    """
    if model.side is None or model.preprocessing is None:
        lacks = "size" if model.side is None else "preprocessing"
        wanted = "--resolution R" if model.side is None else "--mean and --std in 0-255 units"
        raise UsageError(
            f"{model.path} does not say its {lacks}, and a calibration records it",
            fix=f"pass {wanted}, as the cache was made with",
        )
    graph, known = checking.network(model, model.side)
    every, only_u8 = checking.needed(graph)
    missing = [name for name in every if name not in cache.scales]
    if missing:
        raise FileError(
            f"{source} has no scale for {len(missing)} of the {len(every)} tensors to quantise "
            f"in {model.path}: {', '.join(missing)}",
            fix="pass the very ONNX file that TensorRT calibrated, or measure again: "
            f"edgedeploy calibrate {model.path} --data IMAGES",
        )
    return Imported(
        calibration=Calibration(
            model_sha256=model.sha256,
            data_digest="",
            data_count=0,
            method=IMPORTED + cache.header,
            side=model.side,
            preprocessing=model.preprocessing,
            ranges=_ranges(cache, graph, {*every, *only_u8}),
            versions={"tensorrt": cache.version},
        ),
        unknown=tuple(sorted(name for name in cache.scales if name not in known)),
        only_u8=tuple(name for name in only_u8 if name not in cache.scales),
    )


def export(
    calibration: Calibration,
    path: Path,
    *,
    model: OnnxModel | None = None,
    version: str | None = None,
    algorithm: str | None = None,
) -> tuple[Path, ...]:
    """Write the cache and, where the calibration changes weights, the ONNX that it belongs to.

    Args:
        calibration: Any.
        path: The cache; the ONNX takes its name with ``.onnx``.
        model: What the calibration was measured on: then the cache has a scale for every tensor
            of it, see `preparing.calibration_cache`. Not needed where no weights change; then the
            cache has the tensors of the calibration.
        version: See `to_trt_cache`.
        algorithm: See `to_trt_cache`.

    Returns:
        The files written, the cache first.

    Raises:
        UsageError: The calibration changes weights and there is no model, or the ONNX would
            replace it; or it leaves layers in float.
        FileError: The model is another one, or a file cannot be written.
    """
    if model is not None:
        checking.check(calibration, model, source="the calibration")
    preparing.refuse_floats(calibration)
    changed = changes_weights(calibration)
    if model is None:
        if changed:
            raise UsageError(
                "the calibration changes weights, so its ranges fit the changed network only",
                fix="pass --model MODEL, and the changed ONNX is written beside the cache",
            )
        cache = to_trt_cache(calibration, version=version, algorithm=algorithm)
        write_together({path: trt_cache.render(cache)})
        return (path,)
    network = _corrected(calibration, model) if changed else _own(model)
    header = _header(calibration, version, algorithm)
    data = preparing.calibration_cache(network, calibration, version=header[0], algorithm=header[1])
    if not changed:
        write_together({path: data})
        return (path,)
    beside = path.with_suffix(".onnx")
    if beside.resolve() == model.path.resolve() or beside == path:
        raise UsageError(
            f"the changed network would be written to {beside}, over the model itself"
            if beside != path
            else f"the cache and the changed network would both be {path}",
            fix="pass another -o, e.g. trt/model.cache",
        )
    write_together({beside: network, path: data})
    return path, beside


def changes_weights(calibration: Calibration) -> bool:
    """Return whether TensorRT must be given another network than the calibrated one."""
    return bool(calibration.equalisation or calibration.corrections.get(QdqStyle.S8.value))


def _header(
    calibration: Calibration, version: str | None, algorithm: str | None
) -> tuple[str, str]:
    """Return what was asked for, else what the calibration was imported with, else the defaults."""
    imported = trt_cache.parse_header(calibration.method.removeprefix(IMPORTED))
    known = imported or (trt_cache.DEFAULT_VERSION, trt_cache.DEFAULT_ALGORITHM)
    return (known[0] if version is None else version), algorithm or known[1]


def _own(model: OnnxModel) -> bytes:
    return model_file.load_proto(model.path).SerializeToString()


def _corrected(calibration: Calibration, model: OnnxModel) -> bytes:
    from edgedeploy.graph.corrected import to_corrected_float

    graph = ir.serde.deserialize_model(model_file.load_proto(model.path))
    fix_size(graph, calibration.side)
    to_corrected_float(graph, calibration)
    return ir.serde.serialize_model(graph).SerializeToString(deterministic=True)


def _ranges(cache: TrtCache, graph: ir.Model, names: set[str]) -> dict[str, TensorRange]:
    values = [*graph.graph.inputs, *(value for node in graph.graph for value in node.outputs)]
    return {
        value.name: range_of(cache.scales[value.name], never_negative=is_never_negative(value))
        for value in values
        if value.name in names and value.name in cache.scales
    }
