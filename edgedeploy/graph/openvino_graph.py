"""OpenVINO's IR as a row of operations on activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.graph import kinds
from edgedeploy.graph.operations import OF_SHAPES, Op, Tensor, count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from edgedeploy.graph.operations import Shape

    Place = tuple[str, str]  # a layer and one of its ports, by their ids

# Give the same numbers another shape or order.
_SHAPING = frozenset({"Reshape", "Squeeze", "Transpose", "Unsqueeze"})
# What leaves a constant the same weights: dequantised, they are those of the first input.
_KEEPING = _SHAPING | {"Convert", "FakeQuantize", "Multiply", "Subtract"}
# What they put out has every side of what they read.
_PLAIN = frozenset({"Convert", "FakeQuantize"})
_MIXING_IMAGES = frozenset({"BatchToSpace", "SpaceToBatch"})


def from_ir(root: Element) -> tuple[Op, ...]:
    """Return the operations of OpenVINO's IR, without the types of their tensors.

    A batch that the file leaves open is one image.

    Raises:
        KeyError: It is no IR.
        ValueError: As that.
    """
    edges = _edges(root)
    net = _Net()
    for layer in root.iterfind("layers/layer"):
        net.add(layer, edges.get(layer.attrib["id"], []))
    return tuple(net.ops)


def _edges(root: Element) -> dict[str, list[Place]]:
    """Return where the inputs of each layer come from, in the order of its ports."""
    found: dict[str, list[Place]] = {}
    for edge in sorted(root.iterfind("edges/edge"), key=lambda edge: int(edge.attrib["to-port"])):
        place = (edge.attrib["from-layer"], edge.attrib["from-port"])
        found.setdefault(edge.attrib["to-layer"], []).append(place)
    return found


class _Net:
    """The layers read so far."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._numbers: dict[str, int | None] = {}  # of the operations, by layer
        self._roots: dict[str, str] = {}  # of constant layers: which weights they are
        self._shapes: dict[Place, Shape] = {}  # for one image

    def add(self, layer: Element, sources: Sequence[Place]) -> None:
        key, kind = layer.attrib["id"], layer.attrib["type"]
        if kind == "Parameter":
            self._numbers[key] = None
            for port in layer.iterfind("output/port"):
                first, *sides = _sizes(port) or (1,)
                self._shapes[key, port.attrib["id"]] = (1 if first is None else first, *sides)
            return
        # none at all: Const; and what is made of a shape is no activation
        if kind in OF_SHAPES or all(source in self._roots for source, _ in sources):
            of = sources[0][0] if sources and kind in _KEEPING else key
            self._roots[key] = self._roots.get(of, of)
            return
        self._numbers[key] = len(self.ops)
        self.ops.append(self._op(layer, sources))

    def _op(self, layer: Element, sources: Sequence[Place]) -> Op:
        key, kind = layer.attrib["id"], layer.attrib["type"]
        ports = [_sizes(port) for port in layer.iterfind("input/port")]
        pairs = list(zip(sources, ports, strict=True))
        moving = [(place, said) for place, said in pairs if place[0] not in self._roots]
        constants = tuple(
            Tensor(said, name=self._roots[place[0]])
            for place, said in pairs
            if place[0] in self._roots
        )
        inputs = [_filled(said, self._shapes.get(place)) for place, said in moving]
        read = list(zip([said for _, said in moving], inputs, strict=True))
        outputs = []
        for port in layer.iterfind("output/port"):
            outputs.append(_for_one_image(layer, _sizes(port), read))
            self._shapes[key, port.attrib["id"]] = outputs[-1]
        grouped = kind.startswith("GroupConvolution") and constants
        return Op(
            names=(layer.attrib["name"],),
            type=kind,
            source=self._numbers[moving[0][0][0]],
            inputs=tuple(Tensor(shape) for shape in inputs),
            constants=constants,
            outputs=tuple(Tensor(shape) for shape in outputs),
            groups=(constants[0].shape or (1,))[0] or 1 if grouped else 1,
        )


def _sizes(port: Element) -> Shape:
    sizes = [int(dim.text or "-1") for dim in port.iterfind("dim")]
    return tuple(size if size >= 0 else None for size in sizes)


def _filled(said: Shape, known: Shape | None) -> Shape:
    """Return a shape with the sides that it leaves open taken from another."""
    if known is None or len(known) != len(said):
        return said
    return tuple(side if own is None else own for own, side in zip(said, known, strict=True))


def _for_one_image(layer: Element, said: Shape, read: Sequence[tuple[Shape, Shape]]) -> Shape:
    """Return what a layer puts out for one image, where the file has it for any number.

    Args:
        layer: That makes it.
        said: Its shape in the file.
        read: Of each activation that it reads, the shape in the file, and the one for one image.
    """
    kind, open_sides = layer.attrib["type"], said.count(None)
    if not open_sides or kind in _MIXING_IMAGES:
        return said
    if kind in _SHAPING:
        numbers, rest = count(read[0][1]), count([side for side in said if side is not None])
        if open_sides > 1 or not numbers or not rest or numbers % rest:
            return said
        return _filled(said, (numbers // rest,) * len(said))
    same = [(file, one) for file, one in read if len(file) == len(said)]
    if not same:  # a mean, or one of several: the side that is open is the one that was
        before = [one[file.index(None)] for file, one in read if file.count(None) == 1]
        return _filled(said, (before[0],) * len(said)) if before and open_sides == 1 else said
    data = layer.find("data")
    if kind == "Concat" and data is not None and data.get("axis") == "0":
        return said
    all_sides = kind in _PLAIN or kinds.of_word(kind) in (kinds.ELEMENTWISE, kinds.CONNECTED)
    found: list[int | None] = []
    for axis, side in enumerate(said):
        may = side is None and (all_sides or axis == 0)
        sides = [one[axis] for file, one in same if may and file[axis] is None]
        found.append(sides[0] if sides else side)
    return tuple(found)
