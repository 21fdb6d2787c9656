from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import FileError, MeasurementError
from edgedeploy.graph.operations import Op, Tensor
from edgedeploy.profiling import costs, layer_graphs, layers
from edgedeploy.profiling.layer_kinds import Graph, guess, kind_of_word
from edgedeploy.reporting import layer_table
from edgedeploy.runtime import manifest as manifests
from edgedeploy.types import Family
from edgedeploy.zoo import networks
from edgedeploy.zoo.rows import Activation, Padding, Style
from tests.artifacts import write_artifact
from tests.profiling.documents import raw_result, record

if TYPE_CHECKING:
    from edgedeploy.profiling.records import ProfileRecord

SHIPPED = Path(__file__).parents[2] / "models" / "mobilenet_v1_0.25_64_cifar10.onnx"
SHAPE = (1, 3, 64, 64)


@pytest.fixture(scope="module")
def shipped() -> Graph:
    return Graph(layer_graphs.read(SHIPPED.parent, SHIPPED.name, SHAPE) or ())


@pytest.mark.parametrize(
    ("name", "word", "kind"),
    [
        ("stem/relu6_nchwc", "Conv", "other convolution"),
        ("block_01/depthwise/relu6_nchwc", "Conv", "depthwise"),
        ("block_01/depthwise/conv/WithoutBiases", "GroupConvolution", "depthwise"),
        ("block_01/pointwise/conv_token_10", "QLinearConv", "pointwise"),
        ("classifier/conv_nchwc", "Conv", "fully connected"),
        ("pool_nchwc", "GlobalAveragePool", "pooling"),
        ("block_01/depthwise/relu6", "Clip", "elementwise"),
        ("image_abcd_acdb_stem/conv/WithoutBiases", "Reorder", "other"),
        ("stem/conv + PWN(stem/relu6)", None, "other convolution"),
        ("w + q + block_02/depthwise/conv + PWN(block_02/depthwise/relu6)", None, "depthwise"),
        ("PWN(stem/relu6)", None, "elementwise"),
        ("Reformatting CopyNode for Input Tensor 0 to stem/conv", None, "other"),
        ("{ForeignNode[stem/conv...logits]}", None, "other"),
    ],
)
def test_the_kind_of_a_layer_is_found_by_the_graph(
    shipped: Graph, name: str, word: str | None, kind: str
) -> None:
    assert shipped.kind(name, word) == kind


def test_counts_are_those_of_the_zoo(shipped: Graph) -> None:
    work = shipped.work()
    style = Style(activation=Activation.RELU6, padding=Padding.SYMMETRIC, eps=1e-5)
    network = networks.network(Family.MOBILENET_V1, alpha=0.25, classes=10, style=style)
    sums = [
        sum(each[name] or 0 for each in work.values()) for name in ("multiply_adds", "parameters")
    ]
    scales = sum(row.out_channels for row in network.rows)  # a folded batch norm is one bias
    assert sums == [network.multiply_adds(64), network.parameters() - scales]


def test_multiply_adds_are_not_known_where_the_map_is_not() -> None:
    conv = Op(
        names=("c",), type="Conv", source=None, inputs=(Tensor((1, 3, None, None)),),
        constants=(Tensor((4, 3, 3, 3)), Tensor((4,))),
        outputs=(Tensor((1, 4, None, None)),),
    )  # fmt: skip
    assert Graph([conv]).work() == {
        "other convolution": {"multiply_adds": None, "parameters": 4 * 27 + 4}
    }


def test_an_ir_is_read_as_the_onnx_it_came_from(tmp_path: Path, shipped: Graph) -> None:
    openvino = pytest.importorskip("openvino")
    openvino.save_model(openvino.convert_model(SHIPPED), tmp_path / "model.xml")
    graph = Graph(layer_graphs.read(tmp_path, "model.xml", SHAPE) or ())
    assert graph.work() == shipped.work()


def test_without_a_graph_names_and_words_tell() -> None:
    graph = Graph(())
    assert graph.kind("a/depthwise/conv", "Conv") == "depthwise"
    assert graph.kind("conv1", "Conv") == "other convolution"
    assert guess("conv1_pointwise", "pooling") == "pooling"
    assert kind_of_word("Convert") == "other"


def test_a_product_of_two_activations_has_no_parameters() -> None:
    square = Tensor((1, 4, 4))
    ops = [
        Op(names=("a",), type="Relu", source=None, inputs=(square,), outputs=(square,)),
        Op(names=("b",), type="MatMul", source=0, inputs=(square, square), outputs=(square,)),
    ]
    assert (Graph(ops).kind_of(ops[1]), Graph(ops).work()) == ("other", {})


def test_a_grouped_convolution_that_mixes_channels_is_not_depthwise() -> None:
    conv = Op(
        names=("c",), type="Conv", source=None, constants=(Tensor((8, 4, 1, 1)),),
        outputs=(Tensor((1, 8, 2, 2)),), groups=2,
    )  # fmt: skip
    assert Graph([conv]).kind_of(conv) == "other convolution"


def test_an_engine_without_its_source_has_no_graph(tmp_path: Path) -> None:
    assert layer_graphs.read(tmp_path, "engine.plan", SHAPE) is None


def test_a_damaged_graph_is_a_file_error(tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text("<net>")
    with pytest.raises(FileError, match=r"model\.xml cannot be read as a graph"):
        layer_graphs.read(tmp_path, "model.xml", SHAPE)


# ---- the record ----

FOUND = [
    {"name": "pooled", "kind": "GlobalAveragePool", "ms": 0.3},
    {"name": "scores/MatMulAddFusion", "kind": "Gemm", "ms": 0.7},
    {"name": "pooled2", "kind": "GlobalAveragePool", "ms": 1.0},
]


def with_layers(folder: Path, found: Any = None, reason: str | None = None) -> ProfileRecord:
    made = record(folder)
    result = raw_result(layers=found, layers_reason=reason, layers_runs=100)
    engine = manifests.read(str(folder)).engine
    return layers.add(made, result, costs.read(folder, engine, result["input_shape"]))


def test_layers_have_their_kind_and_share_in_the_order_they_ran(tmp_path: Path) -> None:
    document = with_layers(tmp_path / "a", FOUND).document
    assert [(e["name"], e["kind"], e["share"]) for e in document["layers"]] == [
        ("pooled", "pooling", pytest.approx(0.15)),
        ("scores/MatMulAddFusion", "fully connected", pytest.approx(0.35)),
        ("pooled2", "pooling", pytest.approx(0.5)),
    ]
    assert document["layers_ms"] == {"fully connected": 0.7, "pooling": 1.3}
    assert document["layers_runs"] == 100
    assert document["layers_work"] == {"fully connected": {"multiply_adds": 12, "parameters": 12}}
    assert "layers" not in document["reasons"]


def test_layers_that_are_not_told_are_null_with_the_reason(tmp_path: Path) -> None:
    made = with_layers(tmp_path / "a", None, "this backend does not tell")
    assert made.document["layers"] is None
    assert made.document["layers_ms"] is None
    assert made.document["reasons"]["layers"] == "this backend does not tell"
    assert layer_table.lines(made)[-1] == "not timed: this backend does not tell"


def test_layers_that_nobody_asked_for_are_null_with_the_command(tmp_path: Path) -> None:
    document = record(tmp_path / "a").document
    assert document["layers"] is None
    assert "edgedeploy profile --layers" in document["reasons"]["layers"]


def test_a_worker_that_says_nothing_of_layers_is_of_another_version(tmp_path: Path) -> None:
    made = record(tmp_path / "a")
    with pytest.raises(MeasurementError, match="says nothing of them"):
        layers.add(made, raw_result(), costs.Counted(()))


def test_the_table_sets_time_beside_work_and_says_what_the_profiler_took(tmp_path: Path) -> None:
    table = layer_table.lines(with_layers(tmp_path / "a", FOUND))
    assert [line.split() for line in table[2:5]] == [
        ["kind", "layers", "ms", "time", "multiply-adds", "parameters"],
        ["fully", "connected", "1", "0.700", "35.0%", "100.0%", "100.0%"],
        ["pooling", "2", "1.300", "65.0%", "–", "–"],
    ]
    assert table[5:] == [
        "mean of 100 calls under the vendor's profiler",
        "the layers add up to 2.000 ms; the median without it is 1.000 ms",
        "the profiler itself takes time in every layer: small ones look dearer",
    ]


def test_nothing_is_counted_where_there_is_no_graph(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", content={"engine.plan": b"x"})
    made = with_layers(folder, FOUND)
    assert made.document["layers_work"] is None
    assert layer_table.lines(made)[-1].startswith("nothing is counted: the artifact holds no graph")
