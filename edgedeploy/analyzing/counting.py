"""A model's file in, what each of its layers costs out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy import model_file
from edgedeploy.errors import FileError, UsageError
from edgedeploy.graph import cost, operations
from edgedeploy.graph.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx

    from edgedeploy.graph.cost import Cost
    from edgedeploy.model_file import ModelHints
    from edgedeploy.types import OnnxModel

COUNTS = ("multiply_adds", "parameters", "memory_access_bytes")
"""What is counted of each layer, and summed; attributes of `cost.Cost`."""


_PRECISIONS = {32: "fp32", 8: "int8"}


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one call of a model costs: of one image, or of as many as its file fixes.

    Attributes:
        model: The model, with the size that was counted for.
        costs: Of each operation, in the order of the file.
    """

    model: OnnxModel
    costs: tuple[Cost, ...]

    @property
    def layers(self) -> tuple[Cost, ...]:
        """The operations that cost something."""
        return tuple(each for each in self.costs if not each.is_free)

    def totals(self, kind: str | None = None) -> dict[str, int | None]:
        """Return the sum of each of `COUNTS`, over all or one kind; None: not known of a layer."""
        chosen = [each for each in self.costs if kind in (None, each.kind)]
        return {name: cost.total(getattr(each, name) for each in chosen) for name in COUNTS}

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds that there are, in the order of tables."""
        found = {each.kind for each in self.layers}
        return tuple(kind for kind in KINDS if kind in found)

    def free(self) -> Mapping[str, int]:
        """Return how many operations cost nothing, by their word."""
        words = [each.op.type for each in self.costs if each.is_free]
        return {word: words.count(word) for word in sorted(set(words))}

    def unknown(self, name: str) -> tuple[str, ...]:
        """Return the words of the operations that one of `COUNTS` is not known of, each once."""
        words = (each.op.type for each in self.costs if getattr(each, name) is None)
        return tuple(dict.fromkeys(words))


def precision_of(each: Cost) -> str | None:
    """Return the precision that a layer runs in by its input's bits; None: what is not measured."""
    return _PRECISIONS.get(each.op.inputs[0].bits or 0)


def analyze(path: Path, hints: ModelHints) -> Analysis:
    """Count what one call of a model costs, for the images that `images_of` says.

    Raises:
        FileError: It is no ONNX model of one image, or it is damaged.
        UsageError: Nobody says which size it takes, or what is said does not agree.
    """
    model = model_file.read(path, hints)
    if model.side is None:
        raise UsageError(
            f"{path} takes images of any size, and what it costs depends on that",
            fix="pass --resolution R or --input-shape CxHxW",
        )
    proto = model_file.load_proto(path)
    _check_names(proto, path)
    try:
        ops = operations.from_onnx(proto, (images_of(model), 3, *model.side))
    except (ValueError, RuntimeError) as error:
        raise FileError(
            f"{path} cannot be counted: {str(error).strip().splitlines()[0]}",
            fix="pass the size that the model was made for: --resolution R, or export it again",
        ) from error
    return Analysis(model, cost.of(ops))


def images_of(model: OnnxModel) -> int:
    """Return how many images one call has: what the file fixes, or one."""
    return model.input.shape[0] or 1


def _check_names(proto: onnx.ModelProto, path: Path) -> None:
    graph = proto.graph
    names = [each.name for each in graph.initializer]
    names += [each.name for each in (*graph.input, *graph.output)]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
    wrong = next((name for name in names if type(name) is not str), None)
    if wrong is not None:  # protobuf hands over as bytes what is no UTF-8
        raise FileError(
            f"{path} has a name that is no text: {str(wrong)[:60]}",
            fix="export it again; names in a model are UTF-8",
        )
