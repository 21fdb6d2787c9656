from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedeploy.graph.operations import Op, Tensor
from edgedeploy.profiling import costs, records
from edgedeploy.profiling.costs import Counted
from tests.artifacts import write_artifact
from tests.profiling.documents import record

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (1, 3, 8, 8)


def conv(side: int | None) -> Op:
    return Op(
        names=("c",),
        type="Conv",
        source=None,
        inputs=(Tensor((1, 3, 4, 4)),),
        constants=(Tensor((4, 3, 3, 3)), Tensor((4,))),
        outputs=(Tensor((1, 4, side, side)),),
    )


def test_a_record_says_what_one_image_costs(tmp_path: Path) -> None:
    made = costs.add(record(tmp_path / "a"), Counted((conv(2),)))
    assert made.document["cost"] == {"multiply_adds": 108 * 4, "parameters": 112}
    assert not any(key.startswith("cost") for key in made.document["reasons"])
    assert records.parse(dict(made.document), name="x") == made


def test_maps_of_unknown_size_leave_the_parameters(tmp_path: Path) -> None:
    made = costs.add(record(tmp_path / "a"), Counted((conv(None),)))
    assert made.document["cost"] == {"multiply_adds": None, "parameters": 112}
    assert "does not say the size" in made.document["reasons"]["cost.multiply_adds"]
    assert "layers" in made.document["reasons"]


def test_an_engine_without_its_source_has_no_cost_and_says_why(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", content={"engine.plan": b"x"})
    counted = costs.read(folder, "engine.plan", SHAPE)
    made = costs.add(record(tmp_path / "b"), counted)
    assert made.document["cost"] == {"multiply_adds": None, "parameters": None}
    assert made.document["reasons"]["cost.parameters"] == (
        "the artifact holds no graph to count in"
    )


@pytest.mark.parametrize("engine", ["model.xml", "model.onnx"])
def test_a_damaged_graph_is_a_reason_and_loses_no_measurement(tmp_path: Path, engine: str) -> None:
    (tmp_path / engine).write_text("<net>")
    counted = costs.read(tmp_path, engine, SHAPE)
    assert counted.ops is None
    assert "cannot be read as a graph" in (counted.reason or "")
