"""Does a calibration fit a model? Everything that does not, found before anything is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx_ir as ir

from edgedeploy import model_file
from edgedeploy.calibration.arrays import STYLES
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import FileError
from edgedeploy.graph.constants import array_of
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.placement import is_weighted, output_axis, place
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from edgedeploy.graph.widen import widen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from edgedeploy.calibration_values import Calibration, Correction
    from edgedeploy.types import OnnxModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a calibration and a model say differently.

    Attributes:
        changed: What is another one now, as sentences with both values: weights, preprocessing,
            size.
        missing: Tensors of the model that every Q/DQ style needs a range of, without one.
        only_u8: The same, of tensors that only the style u8 needs (ort, openvino).
        unknown: Ranges of tensors that the model does not have.
        misfits: Arrays of the calibration that fit no layer of the model, as sentences.
    """

    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    only_u8: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()

    @property
    def serves(self) -> tuple[str, ...]:
        """The Q/DQ styles that the ranges suffice for."""
        if self.missing:
            return ()
        return (QdqStyle.S8.value,) if self.only_u8 else tuple(sorted(s.value for s in QdqStyle))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, one sentence each, with all names."""
        listed = (
            (self.missing, "of the model's tensors have no range"),
            (self.unknown, "of the ranges are of tensors that the model does not have"),
        )
        sentences = [f"{len(names)} {what}: {', '.join(names)}" for names, what in listed if names]
        return (*self.changed, *sentences, *self.misfits)


class Network(NamedTuple):
    """A model as calibrations name its tensors.

    Attributes:
        graph: Of one size, batch norm folded.
        tensors: Names of all that is fed and computed, also of what folding removed.
    """

    graph: ir.Model
    tensors: frozenset[str]


def network(model: OnnxModel, side: tuple[int, int] | None) -> Network:
    """Read a model's graph.

    Raises:
        FileError: The file is damaged.
        UsageError: The model has another size.
    """
    graph = ir.serde.deserialize_model(model_file.load_proto(model.path))
    fix_size(graph, side)
    widen(graph)
    names = _tensor_names(graph)
    fold_batch_norm(graph)
    return Network(graph, names | _tensor_names(graph))


def examine(calibration: Calibration, model: OnnxModel) -> Findings:
    """Compare a calibration with a model.

    Args:
        calibration: As it was read.
        model: Where it does not know its preprocessing or size, the calibration's are taken.

    Raises:
        FileError: The model's file is damaged.
    """
    graph, known = network(model, model.side)
    every, only_u8 = needed(graph)
    ranges = calibration.ranges
    return Findings(
        changed=tuple(_changed(calibration, model)),
        missing=tuple(name for name in every if name not in ranges),
        only_u8=tuple(name for name in only_u8 if name not in ranges),
        unknown=tuple(sorted(name for name in ranges if name not in known)),
        misfits=tuple(_misfits(calibration, graph)),
    )


def check(calibration: Calibration, model: OnnxModel, *, source: str) -> Findings:
    """Refuse a calibration that does not fit, with everything that is wrong in one error.

    Args:
        calibration: As it was read.
        model: What it is to be used for.
        source: What to call the calibration in messages.

    Returns:
        The findings; they have no problems, but may have ``only_u8``.

    Raises:
        FileError: Something is wrong.
    """
    found = examine(calibration, model)
    if found.problems:
        raise refusal(found, model, source=source)
    return found


def refusal(found: Findings, model: OnnxModel, *, source: str) -> FileError:
    """Return the error that names every problem."""
    if len(found.problems) == 1:
        said = f"{source} does not fit {model.path}: {found.problems[0]}"
    else:
        lines = "".join(f"\n  - {problem}" for problem in found.problems)
        said = f"{source} does not fit {model.path} in {len(found.problems)} ways:{lines}"
    return FileError(
        said, fix=f"measure this model: edgedeploy calibrate {model.path} --data IMAGES"
    )


def needed(graph: ir.Model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tensors that every Q/DQ style needs a range of, and those that only u8 needs."""
    points = place(graph.graph, QdqStyle.S8).points
    every = {source.name or "" for _, source in points}
    names = activations(graph)
    return (
        tuple(name for name in names if name in every),
        tuple(name for name in names if name not in every),
    )


def _tensor_names(graph: ir.Model) -> frozenset[str]:
    values = [*graph.graph.inputs, *(v for node in graph.graph for v in node.outputs)]
    return frozenset(value.name for value in values if value.name)


def _changed(calibration: Calibration, model: OnnxModel) -> Iterator[str]:
    if calibration.model_sha256 != model.sha256:
        yield (
            f"it was measured on a model with SHA-256 {calibration.model_sha256}, "
            f"this one has {model.sha256}"
        )
    if model.side not in (None, calibration.side):
        measured, takes = _pixels(calibration.side), _pixels(model.side)
        yield f"it was measured at {measured}, the model takes {takes}"
    rule = model.preprocessing
    if rule is not None and rule != calibration.preprocessing:
        parts = [
            f"{field} {getattr(calibration.preprocessing, field)}, it is now {getattr(rule, field)}"
            for field in rule._fields
            if getattr(rule, field) != getattr(calibration.preprocessing, field)
        ]
        yield f"it was measured with {'; '.join(parts)}"


def _pixels(side: tuple[int, int] | None) -> str:
    return "any size" if side is None else f"{side[0]}x{side[1]} pixels"


def _misfits(calibration: Calibration, graph: ir.Model) -> Iterator[str]:
    values = {value.name: value for node in graph.graph for value in node.outputs}
    values |= {value.name: value for value in graph.graph.inputs}
    for name, scales in calibration.equalisation.items():
        value = values.get(name)
        channels = None if value is None or value.shape is None else value.shape[1]
        if value is None:
            yield f"it equalises {name!r}, which the model does not have"
        elif isinstance(channels, int) and np.shape(scales) != (channels,):
            yield f"it equalises {len(scales)} channels of {name!r}, which has {channels}"
    layers = {n.outputs[0].name: n for n in graph.graph if is_weighted(n)}
    for style in STYLES:
        for name, found in calibration.corrections.get(style, {}).items():
            if name not in layers:
                yield f"it corrects {name!r} ({style}), which is no layer of the model"
            else:
                yield from _misfit(layers[name], found, f"{name!r} ({style})")
    yield from _unknown_floats(calibration, layers)


def _unknown_floats(calibration: Calibration, layers: Collection[str | None]) -> Iterator[str]:
    for style, names in sorted(calibration.left_float.items()):
        for name in names:
            if name not in layers:
                yield f"it leaves {name!r} ({style}) in float, which is no layer of the model"


def _misfit(layer: ir.Node, found: Correction, what: str) -> Iterator[str]:
    weight = np.asarray(array_of(layer.inputs[1]))
    channels = weight.shape[output_axis(layer)]
    if np.shape(found.bias) != (channels,):
        yield f"it corrects {np.shape(found.bias)} biases of {what}, which has {channels}"
    if found.rounding is not None and np.shape(found.rounding) != weight.shape:
        yield f"it rounds weights {np.shape(found.rounding)} of {what}, which has {weight.shape}"
