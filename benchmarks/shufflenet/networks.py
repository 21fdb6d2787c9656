"""The stacks of section 2 of ShuffleNet V2, at nearly equal multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from edgedeploy.analyzing import prices
from edgedeploy.miniatures import INPUT, OUTPUT, graph

if TYPE_CHECKING:
    import onnx

    from edgedeploy.types import Array

SIDE = 56
IN_A_ROW = " in a row"
"""Ends the words of fragments that are."""
_BLOCKS = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # a graph has no hash
class Setting:
    """One small network.

    Attributes:
        words: What it is, e.g. ``"1:6"``.
        number: The same as `prices.Price` has it.
        channels: In words.
        model: float32.
        multiply_adds: Of one image.
    """

    words: str
    number: float
    channels: str
    model: onnx.ModelProto
    multiply_adds: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # a graph has no hash
class Experiment:
    """Settings that are measured in turns; the first is the baseline.

    Attributes:
        rule: Of `prices`.
        title: What is varied.
        settings: At least two.
    """

    rule: str
    title: str
    settings: tuple[Setting, ...]


def experiments(side: int = SIDE) -> tuple[Experiment, ...]:
    """Return all that is measured.

    Args:
        side: Of the maps, in pixels; tests pass a small one.
    """
    return (
        Experiment(
            rule=prices.WIDTHS,
            title="G1: widths of 1×1 convolutions, there and back",
            settings=tuple(
                _widths(side, *pair) for pair in ((128, 128), (90, 180), (52, 312), (36, 432))
            ),
        ),
        Experiment(
            rule=prices.GROUPS,
            title="G2: groups of 1×1 convolutions",
            settings=tuple(
                _groups(side, *pair) for pair in ((1, 128), (2, 180), (4, 256), (8, 360))
            ),
        ),
        Experiment(
            rule=prices.FRAGMENTS,
            title="G3: fragments of a block",
            settings=(
                _fragments(side, 1, 128, parallel=False),
                _fragments(side, 2, 90, parallel=False),
                _fragments(side, 4, 64, parallel=False),
                _fragments(side, 2, 90, parallel=True),
                _fragments(side, 4, 64, parallel=True),
            ),
        ),
        Experiment(
            rule=prices.ELEMENTWISE,
            title="G4: element-wise operations of a bottleneck",
            settings=tuple(
                _bottlenecks(side, relu=relu, shortcut=shortcut)
                for relu, shortcut in ((False, False), (True, False), (False, True), (True, True))
            ),
        ),
        *(
            Experiment(
                rule=prices.CHANNELS,
                title=f"Channels around {around}",
                settings=tuple(_channels(side, count) for count in (around, *others)),
            )
            for around, others in ((32, (24, 31, 33, 40)), (64, (56, 63, 65, 72)))
        ),
    )


class _Stack:
    """A network of square maps that is put together layer by layer."""

    def __init__(self, side: int, channels: int) -> None:
        self._side, self._input = side, channels
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, Array] = {}
        self._draw = np.random.default_rng(0)
        self.multiply_adds = 0

    def convolve(self, value: str, into: int, out: int, *, kernel: int = 1, groups: int = 1) -> str:
        name = f"conv_{len(self._nodes)}"
        shape = (out, into // groups, kernel, kernel)
        deviation = (2 / np.prod(shape[1:])) ** 0.5
        self._weights[f"{name}/w"] = self._draw.normal(0, deviation, shape).astype(np.float32)
        self._weights[f"{name}/b"] = np.zeros(out, np.float32)
        self.multiply_adds += int(np.prod(shape)) * self._side**2
        return self._add(
            "Conv", [value, f"{name}/w", f"{name}/b"], name, group=groups,
            kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4,
        )  # fmt: skip

    def relu(self, value: str) -> str:
        return self._add("Relu", [value], f"relu_{len(self._nodes)}")

    def plus(self, first: str, second: str) -> str:
        return self._add("Add", [first, second], f"add_{len(self._nodes)}")

    def setting(self, words: str, number: float, channels: str) -> Setting:
        self._nodes[-1].output[0] = OUTPUT
        shape = (1, self._input, self._side, self._side)
        return Setting(
            words=words,
            number=number,
            channels=channels,
            model=graph(self._nodes, shape, self._weights),
            multiply_adds=self.multiply_adds,
        )

    def _add(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


def _widths(side: int, first: int, second: int) -> Setting:
    stack, value = _Stack(side, first), INPUT
    for _ in range(_BLOCKS):
        value = stack.relu(stack.convolve(value, first, second))
        value = stack.relu(stack.convolve(value, second, first))
    ratio = second // first
    return stack.setting(f"1:{ratio}", ratio, f"{first}, {second}")


def _groups(side: int, groups: int, channels: int) -> Setting:
    stack, value = _Stack(side, channels), INPUT
    for _ in range(_BLOCKS):
        value = stack.relu(stack.convolve(value, channels, channels, groups=groups))
    words = "1 group" if groups == 1 else f"{groups} groups"
    return stack.setting(words, groups, str(channels))


def _fragments(side: int, count: int, channels: int, *, parallel: bool) -> Setting:
    stack, value = _Stack(side, channels), INPUT
    for _ in range(_BLOCKS):
        if not parallel:
            for _ in range(count):
                value = stack.relu(stack.convolve(value, channels, channels))
            continue
        source = value
        value = stack.relu(stack.convolve(source, channels, channels))
        for _ in range(count - 1):
            other = stack.relu(stack.convolve(source, channels, channels))
            value = stack.plus(value, other)
    way = "" if count == 1 else " side by side" if parallel else IN_A_ROW
    return stack.setting(f"{count}{way}", count, str(channels))


def _bottlenecks(side: int, *, relu: bool, shortcut: bool, channels: int = 32) -> Setting:
    stack, value = _Stack(side, channels), INPUT
    for _ in range(_BLOCKS):
        source = value
        for kernel in (1, 3, 1):
            value = stack.convolve(value, channels, channels, kernel=kernel)
            if relu:
                value = stack.relu(value)
        if shortcut:
            value = stack.plus(value, source)
    parts = [word for word, there in (("ReLU", relu), ("shortcut", shortcut)) if there]
    number = prices.ACTIVATIONS * relu + prices.SUMS * shortcut
    return stack.setting(" and ".join(parts) or "neither", number, str(channels))


def _channels(side: int, channels: int) -> Setting:
    stack, value = _Stack(side, channels), INPUT
    for _ in range(_BLOCKS):
        value = stack.relu(stack.convolve(value, channels, channels))
    return stack.setting(f"{channels} channels", channels, str(channels))
