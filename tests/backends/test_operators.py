from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from onnx import TensorProto, helper

from edgedeploy.backends import operators
from edgedeploy.errors import BuildError
from edgedeploy.runtime import trt_dialects

if TYPE_CHECKING:
    from pathlib import Path

DIALECTS = [dialect for dialect in trt_dialects.DIALECTS if dialect.name != "rtx"]


def source(folder: Path, *operator: tuple[str, str], inside: bool = False) -> Path:
    """An ONNX file of operators one behind the other, in a branch where ``inside``."""
    nodes = [
        helper.make_node(kind, [f"t{i}"], [f"t{i + 1}"], name=f"n{i}", domain=domain)
        for i, (kind, domain) in enumerate(operator)
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
        for name in ("t0", f"t{len(nodes)}")
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    if inside:
        branch = helper.make_graph(nodes, "branch", [], values[1:])
        chosen = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
        graph = helper.make_graph([chosen], "g", values[:1], [])
    path = folder / "source.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_a_mobilenet_is_made_of_is_known_to_every_generation(
    tmp_path: Path, dialect: trt_dialects.Dialect
) -> None:
    names = ("Conv", "Relu", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm", "Softmax")
    operators.refuse_unknown(source(tmp_path, *((name, "") for name in names)), dialect)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_operators_that_no_parser_has_are_named_with_their_nodes(
    tmp_path: Path, dialect: trt_dialects.Dialect
) -> None:
    path = source(tmp_path, ("Relu", ""), ("Det", ""), ("MyOp", "com.acme"), ("Nonsense", ""))
    with pytest.raises(BuildError, match="Det 'n1', MyOp 'n2', Nonsense 'n3'") as caught:
        operators.refuse_unknown(path, dialect)
    assert "--backend ort" in caught.value.fix


@pytest.mark.parametrize(
    ("operator", "since"), [("LayerNormalization", "8.6"), ("Hardmax", "8.6"), ("STFT", "10")]
)
def test_operators_are_refused_until_the_generation_that_has_them(
    tmp_path: Path, operator: str, since: str
) -> None:
    path = source(tmp_path, (operator, ""))
    refused = []
    for dialect in DIALECTS:
        try:
            operators.refuse_unknown(path, dialect)
        except BuildError:
            refused.append(dialect.name)
    names = [dialect.name for dialect in DIALECTS]
    assert refused == names[: names.index(since)]


def test_operators_inside_a_branch_are_found(tmp_path: Path) -> None:
    path = source(tmp_path, ("Det", ""), inside=True)
    with pytest.raises(BuildError, match="Det 'n0'"):
        operators.refuse_unknown(path, DIALECTS[0])


def test_many_nodes_are_counted_rather_than_listed(tmp_path: Path) -> None:
    path = source(tmp_path, *[("Det", "")] * 9)
    with pytest.raises(BuildError, match="Det 'n4' and 4 more"):
        operators.refuse_unknown(path, DIALECTS[0])
