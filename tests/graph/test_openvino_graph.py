from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from edgedeploy.graph import cost
from edgedeploy.graph.openvino_graph import from_ir

Layer = tuple[str, list[int], list[int]]
IMAGE: Layer = ("Parameter", [], [-1, 3, 16, 16])
KERNEL: Layer = ("Const", [], [16, 3, 1, 1])


def net(*layers: Layer, **data: Any) -> ElementTree.Element:
    """An IR of layers: their word, the numbers of those that they read, what they put out."""
    rows, edges = [], []
    for number, (kind, sources, out) in enumerate(layers):
        inputs = "".join(
            f'<port id="{port}">{_dims(layers[source][2])}</port>'
            for port, source in enumerate(sources)
        )
        attributes = " ".join(f'{name}="{value}"' for name, value in data.items())
        rows.append(
            f'<layer id="{number}" name="{kind}{number}" type="{kind}"><data {attributes}/>'
            f'<input>{inputs}</input><output><port id="9">{_dims(out)}</port></output></layer>'
        )
        edges += [
            f'<edge from-layer="{source}" from-port="9" to-layer="{number}" to-port="{port}"/>'
            for port, source in enumerate(sources)
        ]
    return ElementTree.fromstring(
        f"<net><layers>{''.join(rows)}</layers><edges>{''.join(edges)}</edges></net>"
    )


def _dims(shape: list[int]) -> str:
    return "".join(f"<dim>{size}</dim>" for size in shape)


def test_the_groups_of_an_ir_are_an_axis_of_its_weights() -> None:
    (conv,) = from_ir(
        net(
            ("Parameter", [], [-1, 8, 4, 4]),
            ("Const", [], [8, 1, 1, 3, 3]),
            ("GroupConvolution", [0, 1], [-1, 8, 2, 2]),
        )
    )
    assert (conv.groups, conv.output, conv.source) == (8, (1, 8, 2, 2), None)
    assert [each.shape for each in conv.inputs] == [(1, 8, 4, 4)]


def test_an_open_batch_is_one_image_and_what_a_reshape_puts_there_counts() -> None:
    found = from_ir(
        net(
            IMAGE,
            KERNEL,
            ("Convolution", [0, 1], [-1, 16, 16, 16]),
            ("Transpose", [2, 4], [-1, 16, 16, 16]),
            ("Const", [], [4]),
        )
    )
    assert [op.output for op in found] == [(1, 16, 16, 16)] * 2
    found = from_ir(
        net(
            IMAGE,
            KERNEL,
            ("Convolution", [0, 1], [-1, 16, 16, 16]),
            ("Const", [], [2]),
            ("Reshape", [2, 3], [-1, 16]),
            ("Const", [], [16, 32]),
            ("MatMul", [4, 5], [-1, 32]),
            ("ReduceMean", [2, 3], [-1, 16]),
        )
    )
    assert [op.output for op in found] == [(1, 16, 16, 16), (256, 16), (256, 32), (1, 16)]
    assert [each.multiply_adds for each in cost.of(found)] == [256 * 48, 0, 256 * 16 * 32, 0]


def test_tokens_that_are_as_many_as_images_keep_their_number_through_activations() -> None:
    found = from_ir(
        net(
            IMAGE,
            ("Const", [], [3]),
            ("Reshape", [0, 1], [1, -1, 16]),
            ("Swish", [2], [1, -1, 16]),
            ("StridedSlice", [3], [1, -1, 16]),
        )
    )
    assert [op.output for op in found] == [(1, 48, 16), (1, 48, 16), (1, None, 16)]


@pytest.mark.parametrize(
    "layers",
    [
        [("Const", [], [2]), ("Reshape", [0, 1], [-1, -1])],
        [("Concat", [0, 0], [-1, 3, 16, 16])],
        [("BatchToSpace", [0], [-1, 3, 32, 32])],
        [("Mystery", [0], [-1, -1])],
    ],
)
def test_a_side_that_could_be_anything_stays_unknown(layers: list[Any]) -> None:
    (only,) = from_ir(net(IMAGE, *layers, axis=0))
    assert only.output is not None
    assert only.output[0] is None


def test_channels_joined_leave_the_batch_alone() -> None:
    (only,) = from_ir(net(IMAGE, ("Concat", [0, 0], [-1, 6, 16, 16]), axis=1))
    assert only.output == (1, 6, 16, 16)


def test_maps_of_open_size_stay_unknown_behind_a_convolution() -> None:
    (only,) = from_ir(
        net(
            ("Parameter", [], [-1, 3, -1, -1]),
            KERNEL,
            ("Convolution", [0, 1], [-1, 16, -1, -1]),
        )
    )
    assert only.output == (1, 16, None, None)


def test_weights_that_two_layers_share_count_once() -> None:
    found = from_ir(
        net(
            ("Parameter", [], [-1, 16, 8, 8]),
            ("Const", [], [16, 16, 1, 1]),
            ("Convert", [1], [16, 16, 1, 1]),
            ("Const", [], [16, 16, 1, 1]),
            ("Convolution", [0, 2], [-1, 16, 8, 8]),
            ("Convolution", [4, 1], [-1, 16, 8, 8]),
            ("Convolution", [5, 3], [-1, 16, 8, 8]),
        )
    )
    assert [each.parameters for each in cost.of(found)] == [256, 0, 256]


def test_a_batch_that_the_file_fixes_counts() -> None:
    (only,) = from_ir(
        net(
            ("Parameter", [], [4, 3, 16, 16]),
            KERNEL,
            ("Convolution", [0, 1], [4, 16, 16, 16]),
        )
    )
    assert cost.of([only])[0].multiply_adds == 4 * 256 * 48
