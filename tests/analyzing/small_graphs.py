"""Small graphs, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from edgedeploy import miniatures
from edgedeploy.analyzing import counting
from edgedeploy.graph import cost, operations
from edgedeploy.model_file import ModelHints
from tests.models import save, stem

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from edgedeploy.analyzing.counting import Analysis
    from edgedeploy.types import Array


class Nodes:
    """Nodes from `miniatures.INPUT` on; each method returns the name of what it puts out."""

    def __init__(self, channels: int, side: int = 16) -> None:
        self.shape = (1, channels, side, side)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}

    def conv(self, value: str, into: int, out: int, *, kernel: int = 1, groups: int = 1) -> str:
        name = f"conv{len(self.nodes)}"
        self.weights[f"{name}/w"] = np.zeros((out, into // groups, kernel, kernel), np.float32)
        sides = {"kernel_shape": [kernel] * 2, "pads": [kernel // 2] * 4, "group": groups}
        return self.node("Conv", value, f"{name}/w", name=name, **sides)

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def proto(self) -> onnx.ModelProto:
        self.nodes[-1].output[0] = miniatures.OUTPUT
        return miniatures.graph(self.nodes, self.shape, self.weights)


def counted(nodes: Nodes, folder: Path) -> Analysis:
    """Count a graph whose input need not be a picture."""
    known = counting.analyze(save(stem((1, 3, 8, 8)), folder / "stem.onnx"), ModelHints())
    costs = cost.of(operations.from_onnx(nodes.proto(), nodes.shape))
    return counting.Analysis(known.model, costs)
