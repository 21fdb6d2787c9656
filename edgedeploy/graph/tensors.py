"""Questions about a graph's tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.graph.placement import place
from edgedeploy.types import QdqStyle

if TYPE_CHECKING:
    import onnx_ir as ir


def activations(model: ir.Model) -> tuple[str, ...]:
    """Return the names of the activations whose range a calibration must hold, in graph order.

    They serve both Q/DQ styles: what s8 quantises, u8 quantises too.
    """
    names: dict[str, None] = {}
    for style in QdqStyle:
        for _, source in place(model.graph, style).points:
            names[source.name or ""] = None
    return tuple(names)
