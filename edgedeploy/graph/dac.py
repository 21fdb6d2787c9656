"""The pass that makes a convolution a depthwise one followed by a 1×1, by its weights' SVD.

Source:
    Li et al. 2018, "DAC: Data-free Automatic Acceleration of Convolutional Networks",
    arXiv 1812.08374, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgedeploy.graph.constants import array_of, constant_like, stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.types import Array


@dataclass(frozen=True, slots=True)
class Factors:
    """A convolution's weights as those of two convolutions.

    Attributes:
        depthwise: ``(in · rank, 1, *kernel)`` float64: ``rank`` filters for each input channel.
        pointwise: ``(out, in · rank, 1, …)`` float64.
    """

    depthwise: Array
    pointwise: Array


def spectra(weight: Array) -> Array:
    """Return the singular values of each input channel's matrix of weights.

    Args:
        weight: ``(out, in, *kernel)``.

    Returns:
        ``(in, full rank)`` float64, the largest first.
    """
    values: Array = np.linalg.svd(_matrices(weight), compute_uv=False)
    return values


def full_rank(shape: tuple[int, ...]) -> int:
    """Return the rank at which nothing is lost of weights ``(out, in, *kernel)``.

    Example:
        >>> full_rank((64, 3, 3, 3)), full_rank((4, 3, 1, 7))
        (9, 4)
    """
    return min(shape[0], math.prod(shape[2:]))


def factorise(weight: Array, rank: int) -> Factors:
    """Return the factors that come nearest to the weights, in the sum of squares.

    Each singular value is split evenly between the two; signs are such that the largest number of
    a depthwise filter is positive, so that the same weights always give the same factors.

    Args:
        weight: ``(out, in, *kernel)``.
        rank: Filters for each input channel, from 1 to `full_rank`.
    """
    out, channels, *kernel = weight.shape
    left, values, right = np.linalg.svd(_matrices(weight), full_matrices=False)
    left, values, right = left[:, :, :rank], values[:, :rank], right[:, :rank]
    largest = np.take_along_axis(right, np.abs(right).argmax(axis=2)[..., None], axis=2)
    signs = np.where(largest[..., 0] < 0, -1.0, 1.0)
    share = signs * np.sqrt(values)
    return Factors(
        depthwise=(right * share[..., None]).reshape(channels * rank, 1, *kernel),
        pointwise=(left * share[:, None, :])
        .transpose(1, 0, 2)
        .reshape(out, channels * rank, *[1] * len(kernel)),
    )


def convertible(model: ir.Model) -> dict[str, ir.Node]:
    """Return the convolutions that `decompose` can change, by name, in graph order.

    They are those of one group with a kernel larger than 1 and constant float weights. A layer is
    called what its node is, or what it puts out where nodes have no names of their own.
    """
    nodes = [node for node in model.graph if _is_convertible(node)]
    names = [node.name or node.outputs[0].name or "" for node in nodes]
    if len(set(names)) < len(names):
        names = [node.outputs[0].name or "" for node in nodes]
    return dict(zip(names, nodes, strict=True))


def weight_of(node: ir.Node) -> Array:
    """Return the weights of a convertible convolution in the type that they are stored in."""
    return np.asarray(stored_weight(node))


def stored_weight(node: ir.Node) -> Array | None:
    """Return a convolution's weights in the type they are stored in; None if they vary."""
    return array_of(stored(node.inputs[1]))


def decompose(model: ir.Model, ranks: Mapping[str, int]) -> None:
    """Decompose convolutions of a float model in place.

    ``<layer>/dac_depthwise`` takes over strides, pads and dilations, ``<layer>/dac_pointwise`` the
    bias and the name of the output; there is nothing between them. Layers that share their weights
    and have one rank share the factors.

    Args:
        model: Its initialisers are no inputs; weights stay of the type that they are stored in.
        ranks: By layer, see `convertible`; each from 1 to `full_rank`.
    """
    shared: dict[tuple[ir.Value | None, int], tuple[ir.Value, ir.Value]] = {}
    layers = convertible(model)
    for name, node in layers.items():
        if name not in ranks:
            continue
        key = (node.inputs[1], ranks[name])
        if key not in shared:
            shared[key] = _add_factors(model.graph, node, name, ranks[name])
        _split(model.graph, node, name, *shared[key])
    RemoveUnusedNodesPass()(model)


def _matrices(weight: Array) -> Array:
    """Return ``(in, out, kernel)`` float64: one matrix for each input channel."""
    flat = weight.astype(np.float64).reshape(*weight.shape[:2], -1)
    return np.ascontiguousarray(flat.transpose(1, 0, 2))


def _is_convertible(node: ir.Node) -> bool:
    if node.op_type != "Conv" or node.domain not in ("", "ai.onnx"):
        return False
    weight = stored_weight(node)
    if weight is None or array_of(node.inputs[0]) is not None:
        return False
    kernel = math.prod(weight.shape[2:])
    return weight.dtype.kind == "f" and kernel > 1 and node.attributes.get_int("group", 1) == 1


def _add_factors(graph: ir.Graph, node: ir.Node, name: str, rank: int) -> tuple[ir.Value, ir.Value]:
    found = factorise(weight_of(node), rank)
    old = node.inputs[1]
    return (
        constant_like(graph, node, f"{name}/dac_depthwise/weight", found.depthwise, old),
        constant_like(graph, node, f"{name}/dac_pointwise/weight", found.pointwise, old),
    )


def _split(
    graph: ir.Graph, node: ir.Node, name: str, depthwise: ir.Value, pointwise: ir.Value
) -> None:
    """Put a depthwise convolution before ``node``, which becomes the 1×1."""
    source = node.inputs[0]
    channels = weight_of(node).shape[1]
    attributes = {key: each for key, each in node.attributes.items() if key != "group"}
    first = ir.Node(
        "",
        "Conv",
        [source, depthwise],
        attributes=[*attributes.values(), ir.AttrInt64("group", channels)],
        outputs=[ir.Value(name=f"{name}/dac_depthwise", type=node.outputs[0].type)],
        name=f"{name}/dac_depthwise",
    )
    graph.insert_before(node, first)
    node.name = f"{name}/dac_pointwise"
    node.attributes.clear()
    sides = len(weight_of(node).shape) - 2
    node.attributes.add(ir.AttrInt64s("kernel_shape", [1] * sides))
    node.replace_input_with(0, first.outputs[0])
    node.replace_input_with(1, pointwise)
