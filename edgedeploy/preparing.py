"""The ONNX file that a backend is given: made from a model in the form that the backend wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy import model_file
from edgedeploy.types import correction_style

if TYPE_CHECKING:
    import onnx

    from edgedeploy.source_forms import SourceForm
    from edgedeploy.types import Calibration, OnnxModel


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
        BuildError: A range is missing or empty, or the opset cannot be had; by node.
    """
    # onnx_ir takes half a second to import, which a build that is up to date does without
    import onnx_ir as ir

    from edgedeploy.graph.equalise import equalise
    from edgedeploy.graph.float16 import to_float16
    from edgedeploy.graph.fold_batch_norm import fold_batch_norm
    from edgedeploy.graph.qdq import quantise
    from edgedeploy.graph.shapes import fix_size

    graph = ir.serde.deserialize_model(model_file.load_proto(model.path))
    fix_size(graph, model.side)
    fold_batch_norm(graph)
    if form.style is not None and calibration is not None:
        kind = correction_style(form.style, x86)
        equalise(graph, calibration.equalisation)
        quantise(
            graph,
            calibration.ranges,
            form.style,
            any_x86=x86 == "any",
            corrections=calibration.corrections.get(kind),
            floats=calibration.left_float.get(kind, ()),
        )
    elif form.half:
        to_float16(graph)
    proto: onnx.ModelProto = ir.serde.serialize_model(graph)
    return proto.SerializeToString(deterministic=True)
