"""Data-free acceleration: standard convolutions to depthwise and 1×1 ones, by SVD alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveInitializersFromInputsPass

from edgedeploy import model_file, picture_form
from edgedeploy.converting import budget, feeding
from edgedeploy.converting.choosing import choose
from edgedeploy.converting.layers import survey
from edgedeploy.converting.means import correct_biases
from edgedeploy.converting.trials import Trial
from edgedeploy.errors import UsageError
from edgedeploy.graph import dac
from edgedeploy.graph.fold_batch_norm import fold_batch_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgedeploy.converting.choosing import Choice
    from edgedeploy.converting.layers import Network
    from edgedeploy.converting.request import DacRequest
    from edgedeploy.images import ImageSet
    from edgedeploy.types import OnnxModel

METHOD = "dac"
KEY = "edgedeploy.converted"
"""Of the metadata that say what was done to a model, by which method, and to which file."""

_QUANTISED = frozenset(
    {"ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QuantizeLinear"}
)
_BESIDE = ("variant", "base_resolution", "preprocess", "labels", "side")
_FREE_INITIALISERS = 4  # the first IR version whose initialisers need not be inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How a converted network answers, beside the one it was made from.

    Attributes:
        inputs: What it was run on, e.g. ``"8 pictures of noise"``.
        output_error: Root of the sum of squared differences over that of squared outputs.
        uncorrected_error: The same before biases were corrected; None where they were not.
        agreement: Share of images with the same best class; None on noise, or without classes.
    """

    inputs: str
    output_error: float
    uncorrected_error: float | None
    agreement: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A converted model, and what is known of it.

    Attributes:
        data: The ONNX file.
        network: What the model was before.
        choice: What was decomposed.
        measured: What came of it; None while the size is not known.
        notes: What to know before it is used.
    """

    data: bytes
    network: Network
    choice: Choice
    measured: Measured | None
    notes: tuple[str, ...]

    @property
    def multiply_adds(self) -> int | None:
        """Of the converted network for one image; None while the size is not known."""
        total = self.network.multiply_adds
        if total is None:
            return None
        return budget.remaining(self.network.layers, self.choice.ranks, total)


def convert(
    model: OnnxModel,
    request: DacRequest,
    images: ImageSet | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Conversion:
    """Decompose a model's standard convolutions; the same inputs give the same bytes.

    Batch norm is folded first, so that the SVD weighs output channels as the network does.

    Args:
        model: Float.
        request: Ranks, or the budget that they are chosen for.
        images: Unlabelled pictures: errors are then measured on them, and biases corrected.
        progress: Called with (layers done, layers in all) of what takes long.

    Raises:
        UsageError: The model is quantised or has nothing to convert, a rank is out of range, a
            budget cannot be kept, or the size or preprocessing that measuring needs is not known.
        FileError: The model is damaged, takes several pictures in every call, or cannot be run at
            that size; or a picture cannot be read.
    """
    if request.correct_bias and images is None:
        raise UsageError(
            "biases are to be corrected, and there are no images to measure means on",
            fix="pass --data IMAGES, or leave --correct-bias out",
        )
    picture_form.check_batch(model)
    graph = _opened(model)
    network = survey(graph, model.side)
    _check_any(model.path, network)
    trial = _trial(model, graph, request, images)
    choice = choose(network, request, trial, progress)
    if not choice.ranks:
        raise UsageError(
            f"every layer that could be converted is left as it is: {_names(network)}",
            fix="give one of them a rank (--rank LAYER=4), or spare fewer: --spare-first 0",
        )
    converted = graph.clone()
    dac.decompose(converted, choice.ranks)
    measured = None
    if trial is not None:
        measured = _corrected(trial, converted, choice, request, images, progress=progress)
    _describe(converted, model, choice, None if request.correct_bias is False else images)
    proto = ir.serde.serialize_model(converted)
    return Conversion(
        data=proto.SerializeToString(deterministic=True),
        network=network,
        choice=choice,
        measured=measured,
        notes=(*_notes(network, choice), *_overrun(request, measured)),
    )


def _opened(model: OnnxModel) -> ir.Model:
    """Read a float model, batch norm folded."""
    graph = ir.serde.deserialize_model(model_file.load_proto(model.path))
    for node in graph.graph.all_nodes():
        if node.op_type in _QUANTISED or node.op_type.startswith("QLinear"):
            raise UsageError(
                f"{model.path} is quantised already: it has {node.op_type} {node.name!r}",
                fix="convert the float model, then calibrate what comes of it",
            )
    RemoveInitializersFromInputsPass()(graph)
    graph.ir_version = max(graph.ir_version, _FREE_INITIALISERS)
    fold_batch_norm(graph)
    return graph


def _check_any(path: Path, network: Network) -> None:
    """Refuse a network without a layer that can be decomposed."""
    if network.layers:
        return
    raise UsageError(
        f"{path} has nothing to convert: {network.left_alone()}",
        fix="convert a network of standard convolutions with constant float weights, such as a "
        "VGG or a ResNet; of a MobileNet only the first one is",
    )


def _trial(
    model: OnnxModel, graph: ir.Model, request: DacRequest, images: ImageSet | None
) -> Trial | None:
    """Return the network on images, or on noise; None without images and without a size."""
    if images is None:
        if model.side is None:
            return None
        return Trial(graph, feeding.noise(model.side, model.preprocessing), request.threads)
    form = picture_form.of(model, "--data")
    fed = feeding.pictures(images, form.side, form.preprocessing)
    return Trial(graph, fed, request.threads)


def _corrected(
    trial: Trial,
    converted: ir.Model,
    choice: Choice,
    request: DacRequest,
    images: ImageSet | None,
    *,
    progress: Callable[[int, int], None],
) -> Measured:
    """Correct biases in place where there are images, and return how the network answers."""
    error = trial.output_error(converted)
    corrected = images is not None and request.correct_bias is not False
    if corrected:
        correct_biases(
            trial.model,
            converted,
            choice.ranks,
            trial.pictures,
            threads=request.threads,
            progress=progress,
        )
    return Measured(
        inputs=f"{len(trial.pictures)} {'pictures of noise' if images is None else 'images'}",
        output_error=trial.output_error(converted) if corrected else error,
        uncorrected_error=error if corrected else None,
        agreement=None if images is None else trial.agreement(converted),
    )


def _describe(
    converted: ir.Model, model: OnnxModel, choice: Choice, images: ImageSet | None
) -> None:
    """Write what was done into the metadata, and what ``<stem>.json`` beside the source says."""
    for key, value in _beside(model.path).items():
        converted.metadata_props.setdefault(f"edgedeploy.{key}", _json(value))
    about: dict[str, Any] = {
        "method": METHOD,
        "ranks": dict(choice.ranks),
        "source_sha256": model.sha256,
        "bias_correction": images and {"images": len(images.entries), "digest": images.digest()},
    }
    if KEY in converted.metadata_props:
        about["earlier"] = json.loads(converted.metadata_props[KEY])
    converted.metadata_props[KEY] = _json(about)


def _beside(path: Path) -> dict[str, Any]:
    """Return what the file beside a model says; `model_file.read` has checked it."""
    beside = path.with_suffix(".json")
    document = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    return {key: document[key] for key in _BESIDE if document.get(key) is not None}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _notes(network: Network, choice: Choice) -> Iterator[str]:
    """Yield what is to be said of a choice."""
    for layer in network.layers:
        rank = choice.ranks.get(layer.name)
        if rank is not None and rank > layer.saving_rank:
            factor = layer.parameters(rank) / layer.parameters(None)
            saves = (
                f"rank {layer.saving_rank} or lower saves" if layer.saving_rank else "none saves"
            )
            yield (
                f"rank {rank} makes {layer.name} dearer: {factor:.2f} times its multiply-adds; "
                f"{saves}"
            )
    if len(network.layers) == 1 and network.convolutions > 1:
        as_always = "" if network.others else ", as in every MobileNet"
        yield (f"only {network.layers[0].name} can be converted: {network.left_alone()}{as_always}")
    if choice.spared:
        why = "asked for" if not choice.gains else "they are the most sensitive"
        yield f"left as they are ({why}): {', '.join(choice.spared)}"


def _overrun(request: DacRequest, measured: Measured | None) -> Iterator[str]:
    """Yield what is to be said where corrected biases lead out of a budget that ranks kept to."""
    if request.max_error is not None and measured and measured.output_error > request.max_error:
        yield (
            f"with its biases corrected the output errs by {measured.output_error:.4g}, more than "
            f"--max-error {request.max_error:g}; --no-correct-bias stays within"
        )


def _names(network: Network) -> str:
    return ", ".join(layer.name for layer in network.layers)
