"""Which Keras layer fills which row, and in what style: by the configuration, or by the names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError
from edgedeploy.types import PUBLISHED, Family
from edgedeploy.zoo import networks, presets
from edgedeploy.zoo.keras_config import Layer, refuse
from edgedeploy.zoo.rows import Kind, Padding, Style
from edgedeploy.zoo.weights import other_family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.zoo.keras_config import Convolution
    from edgedeploy.zoo.keras_model import KerasModel
    from edgedeploy.zoo.rows import Network, Row

_KERAS = presets.get("keras")
# Where a file's paddings fit several rules (they do on even maps), the family's own comes first.
_PREFERRED = {
    Family.MOBILENET_V1: (Padding.BOTTOM_RIGHT, Padding.SAME, Padding.SYMMETRIC),
    Family.MOBILENET_V2: (Padding.SAME, Padding.BOTTOM_RIGHT, Padding.SYMMETRIC),
}
_FIRST_NAMES = {"conv1": Family.MOBILENET_V1, "Conv1": Family.MOBILENET_V2}


@dataclass(frozen=True, slots=True)
class RowLayers:
    """The layers that fill one row; ``norm`` is None where batch norm is folded."""

    row: str
    convolution: Layer
    norm: Layer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to read from a Keras file.

    Attributes:
        layers: All layers that count when Keras 3 numbers them, in the model's order.
        rows: The layers of each row, in the order of the rows.
        classifier: Its last layer with weights.
        style: Of the rows.
        published: Whether the layers have Keras applications' names, so that its preprocessing is
            the likely one.
    """

    layers: tuple[Layer, ...]
    rows: tuple[RowLayers, ...]
    classifier: Layer
    style: Style
    published: bool


def from_config(model: KerasModel, family: Family, *, source: str) -> Plan:
    """Match a configuration with a family's rows; widths are compared later, with the tensors.

    Raises:
        FileError: It is another network, the other family's, or has no single style.
    """
    network = _any_width(family)
    problem = _mismatch(network, model, source)
    if problem is not None:
        for other in PUBLISHED:
            if other is not family and _mismatch(_any_width(other), model, source) is None:
                raise other_family(family, other, source=source)
        raise problem
    convolutions = model.convolutions
    rows = tuple(
        RowLayers(row.name, convolution.layer, convolution.norm)
        for row, convolution in zip(network.rows, convolutions, strict=True)
    )
    return Plan(
        layers=model.layers,
        rows=rows,
        classifier=model.classifier,
        style=_style(network, convolutions, source),
        published=_FIRST_NAMES.get(rows[0].convolution.name) is family,
    )


def from_names(
    family: Family, *, convolutions: Sequence[str], norms: Sequence[str], dense: bool, source: str
) -> Plan:
    """Take a file without configuration for Keras applications' model of a family.

    Args:
        family: Which of its models.
        convolutions: Names of the layers with a kernel, in the model's order, the classifier last.
        norms: Names of the batch norms, in the model's order.
        dense: Whether the classifier is a ``Dense``.
        source: What errors call the file.

    Raises:
        FileError: The file has fewer layers, or more.

    Source:
        keras/src/applications/mobilenet.py and mobilenet_v2.py.
    """
    network = _any_width(family)
    count = len(network.rows)
    if (len(convolutions), len(norms)) != (count + 1, count):
        raise FileError(
            f"{source} has {len(convolutions)} layers with kernels and {len(norms)} batch norms, "
            f"{family.value} has {count + 1} and {count}",
            fix="pass weights of a whole MobileNet (include_top=True), or save the whole model",
        )
    rows = tuple(
        RowLayers(
            row.name,
            Layer(kernel, "DepthwiseConv2D" if row.kind is Kind.DEPTHWISE else "Conv2D"),
            Layer(norm, "BatchNormalization"),
        )
        for row, kernel, norm in zip(network.rows, convolutions, norms, strict=False)
    )
    classifier = Layer(convolutions[-1], "Dense" if dense else "Conv2D")
    layers = [layer for row in rows for layer in (row.convolution, row.norm) if layer is not None]
    return Plan(
        layers=(*layers, classifier),
        rows=rows,
        classifier=classifier,
        style=network.style,
        published=_FIRST_NAMES.get(convolutions[0]) is family,
    )


def family_of_first_layer(name: str) -> Family | None:
    """Return whose first convolution has this name in Keras applications, or None."""
    return _FIRST_NAMES.get(name)


def _any_width(family: Family) -> Network:
    return networks.network(family, alpha=1.0, classes=1, style=_KERAS.style(family, None))


def _mismatch(network: Network, model: KerasModel, source: str) -> FileError | None:
    """Return what is wrong with the first convolution that is not its row's, or None."""
    by_output = {c.output: row.name for c, row in zip(model.convolutions, network.rows)}  # noqa: B905 -- lengths are compared below
    for row, convolution in zip(network.rows, model.convolutions):  # noqa: B905 -- as above
        found = (convolution.depthwise, convolution.kernel, convolution.stride)
        wanted = (row.kind is Kind.DEPTHWISE, row.kernel, row.stride)
        if found != wanted:
            why = f"is a {_words(*found)}, {network.family.value} has a {_words(*wanted)} there"
            return refuse(convolution.layer, f"{why} ({row.name})", source=source)
        if (convolution.activation is None) != (row.activation is None):
            why = "has no activation" if convolution.activation is None else "has an activation"
            return refuse(convolution.layer, f"{why}, unlike {row.name}", source=source)
        adds = None if convolution.adds is None else by_output.get(convolution.adds, "?")
        if adds != row.adds:
            why = f"adds {convolution.adds}, {row.name} adds {row.adds}"
            return refuse(convolution.layer, why, source=source)
    if len(model.convolutions) != len(network.rows):
        return FileError(
            f"{source}: the model has {len(model.convolutions)} convolutions, "
            f"{network.family.value} has {len(network.rows)}",
            fix="pass a MobileNet; for another network convert the Keras model to ONNX (tf2onnx)",
        )
    return None


def _words(depthwise: bool, kernel: int, stride: int) -> str:  # noqa: FBT001 -- unpacked from a tuple
    return f"{'depthwise ' if depthwise else ''}{kernel}×{kernel} convolution of stride {stride}"


def _style(network: Network, convolutions: tuple[Convolution, ...], source: str) -> Style:
    activations = {c.activation for c in convolutions if c.activation is not None}
    eps = {float(c.norm.config["epsilon"]) for c in convolutions if c.norm is not None}
    for what, values in (("activations", activations), ("epsilons", eps)):
        if len(values) > 1:
            raise FileError(
                f"{source}: the model mixes {what}: {', '.join(sorted(map(str, values)))}",
                fix="pass a model with one activation and one batch-norm epsilon throughout",
            )
    allowed = [
        _paddings(row, convolution, source)
        for row, convolution in zip(network.rows, convolutions, strict=True)
    ]
    everywhere = set(Padding).intersection(*allowed[1:])
    padding = next((p for p in _PREFERRED[network.family] if p in everywhere), None)
    if padding is None:
        raise FileError(
            f"{source}: the model's convolutions are not padded by one rule",
            fix="pad all of them 'same', or all as Keras applications does",
        )
    stem = None
    if padding not in allowed[0]:
        stem = next(p for p in _PREFERRED[network.family] if p in allowed[0])
    return Style(
        activation=activations.pop(),
        padding=padding,
        stem_padding=stem,
        eps=eps.pop() if eps else _KERAS.eps,
    )


def _paddings(row: Row, convolution: Convolution, source: str) -> set[Padding]:
    """Return the rules that agree with how this convolution is padded."""
    same = convolution.layer.config["padding"] == "same"
    pads, side = convolution.pads, convolution.side
    if same and pads is None:
        return {Padding.SAME} if row.stride > 1 else set(Padding)
    found = set()
    if not same:
        explicit = pads or (0, 0)
        if row.stride == 1:
            fits = explicit == (row.kernel // 2, row.kernel // 2)
            return set(Padding) if fits else _no_padding(convolution, source)
        if explicit == (0, 1):
            found.add(Padding.BOTTOM_RIGHT)
        if explicit == (1, 1):
            found.add(Padding.SYMMETRIC)
        if side is not None and explicit == ((0, 1) if side % 2 == 0 else (1, 1)):
            found.add(Padding.SAME)
    return found or _no_padding(convolution, source)


def _no_padding(convolution: Convolution, source: str) -> set[Padding]:
    mode = convolution.layer.config["padding"]
    raise refuse(
        convolution.layer, f"is padded {convolution.pads or 0} and {mode!r}", source=source
    )
