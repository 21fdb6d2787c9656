from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.backends import source_nodes
from tests.models import save, stem

if TYPE_CHECKING:
    from pathlib import Path


def test_numbers_of_nodes_get_their_names_and_operators(tmp_path: Path) -> None:
    model = stem()
    model.graph.node[1].name = "relu"
    problem = "tensorrt 8.2.1: node number 1: no importer; node number 0: x; node number 99: y"
    assert source_nodes.name_numbers(problem, save(model, tmp_path / "source.onnx")) == (
        "tensorrt 8.2.1: node number 1, 'relu' (Clip): no importer; node number 0, '' (Conv): x; "
        "node number 99: y"
    )


def test_a_problem_without_numbers_stays_as_it_is(tmp_path: Path) -> None:
    path = save(stem(), tmp_path / "source.onnx")
    assert source_nodes.name_numbers("out of memory", path) == "out of memory"


def test_a_float_source_is_not_refused(tmp_path: Path) -> None:
    source_nodes.refuse_uint8(save(stem(), tmp_path / "source.onnx"))
