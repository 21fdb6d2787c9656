"""The ONNX file that a backend is given: made from a model in the form that the backend wants."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgedeploy import model_file, trt_cache
from edgedeploy.calibration_values import QdqStyle, correction_style
from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.source_forms import SourceForm
    from edgedeploy.types import OnnxModel

_SHOWN = 3

_log = logging.getLogger(__name__)


def source(
    model: OnnxModel,
    form: SourceForm,
    calibration: Calibration | None = None,
    *,
    x86: str = "any",
) -> bytes:
    """Return the ONNX file that a backend is given; no vendor is needed.

    Args:
        model: Float, as it was exported.
        form: What the backend wants; see `Backend.source_form`.
        calibration: Ranges of this very model; required where the form has Q/DQ nodes or is
            corrected.
        x86: See `BuildSpec.x86`; counts in the style u8 only.

    Raises:
        BuildError: A range is missing, empty or beyond float16, or the opset cannot be had; by
            name.
        UsageError: The form is corrected float, and the calibration leaves layers in float.
    """
    # onnx_ir takes half a second to import, which a build that is up to date does without
    import onnx_ir as ir

    from edgedeploy.graph.corrected import to_corrected_float
    from edgedeploy.graph.float16 import to_float16
    from edgedeploy.graph.fold_batch_norm import fold_batch_norm
    from edgedeploy.graph.opset import convert
    from edgedeploy.graph.shapes import fix_size
    from edgedeploy.graph.widen import widen

    # first of all, so that inferring the shapes also checks what the conversion left
    graph = convert(
        ir.serde.deserialize_model(model_file.load_proto(model.path)),
        oldest=form.oldest_opset,
        newest=form.newest_opset,
        newest_ir=form.newest_ir,
    )
    fix_size(graph, model.side)
    widen(graph)
    fold_batch_norm(graph)
    if form.style is not None and calibration is not None:
        _quantise(graph, form.style, form, calibration, x86)
    elif form.corrected and calibration is not None:
        refuse_floats(calibration)
        to_corrected_float(graph, calibration)
    if form.half:
        to_float16(graph)
    proto: onnx.ModelProto = ir.serde.serialize_model(graph)
    return proto.SerializeToString(deterministic=True)


def calibration_cache(
    source: bytes,
    calibration: Calibration,
    *,
    version: str,
    algorithm: str = trt_cache.DEFAULT_ALGORITHM,
) -> bytes:
    """Return TensorRT's text cache for a float source, with a scale for every float tensor in it.

    So TensorRT warns of no missing scale, and leaves no layer in float for one. Tensors that the
    calibration has not measured get theirs from their neighbours, see `every_range`; where that
    tells nothing, a warning names them.

    Args:
        source: ONNX file that TensorRT will be given: the model itself where the calibration
            changes no weights, else as `source` makes it in a corrected form.
        calibration: What it was made with.
        version: Digits of TensorRT's version, see `trt_cache.digits`.
        algorithm: Of the calibrator that will read it; a DLA reads EntropyCalibration2 only.

    Raises:
        UsageError: The calibration leaves layers in float, or the version is not made of digits.
        UnknownNameError: TensorRT has no such algorithm.
        FileError: A tensor has a name that a cache cannot hold.
    """
    import onnx
    import onnx_ir as ir

    from edgedeploy.graph.shapes import fix_size
    from edgedeploy.graph.tensor_ranges import every_range

    refuse_floats(calibration)
    graph = ir.serde.deserialize_model(onnx.ModelProto.FromString(source))
    fix_size(graph, None)
    found, unknown = every_range(graph, calibration.ranges)
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        _log.warning(
            "the calibration tells no range of %s%s: TensorRT runs what computes them in float",
            ", ".join(unknown[:_SHOWN]),
            more,
        )
    return trt_cache.render(trt_cache.of_ranges(found, version=version, algorithm=algorithm))


def refuse_floats(calibration: Calibration) -> None:
    """Refuse a calibration that leaves layers in float for TensorRT: a cache cannot say so.

    Raises:
        UsageError: It does.
    """
    left = calibration.left_float.get(QdqStyle.S8.value)
    if left:
        raise UsageError(
            f"the calibration leaves {len(left)} layers in float for TensorRT ({left[0]}, …), and "
            "a cache quantises all of them",
            fix="let TensorRT read Q/DQ instead: edgedeploy build MODEL --backend trt --int8 "
            "--int8-mode qdq; or calibrate without --max-drop",
        )


def _quantise(
    graph: ir.Model, style: QdqStyle, form: SourceForm, calibration: Calibration, x86: str
) -> None:
    from edgedeploy.graph.equalise import equalise
    from edgedeploy.graph.qdq import quantise

    kind = correction_style(style, x86)
    equalise(graph, calibration.equalisation)
    quantise(
        graph,
        calibration.ranges,
        style,
        any_x86=x86 == "any",
        corrections=calibration.corrections.get(kind),
        floats=calibration.left_float.get(kind, ()),
        float_weights=form.float_weights,
        half=form.half,
    )
