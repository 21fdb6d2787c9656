"""Distillation: a trained model's logits on the batch, and the loss that learns from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgedeploy import model_file
from edgedeploy.errors import FileError, UsageError
from edgedeploy.training.data import scaled_input
from edgedeploy.training.spec import RULE
from edgedeploy.types import Variant
from edgedeploy.zoo import native_weights
from edgedeploy.zoo.torch_module import NetworkModule, fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.runtime.preprocessing import Preprocessing

    Teacher = Callable[[torch.Tensor], torch.Tensor]


def load(path: Path, *, classes: int, device: torch.device) -> Teacher:
    """Open a teacher; it looks at the pictures in its own resolution, whatever the student's is.

    Args:
        path: An ONNX model (run by ONNX Runtime on the CPU), or a ``.safetensors`` file of
            ``edgedeploy train`` (run by torch where the student is).
        classes: Of the student.
        device: Of the student.

    Returns:
        ``(N, S, S, 3)`` uint8, augmented → ``(N, classes)`` logits on ``device``.

    Raises:
        FileError: The file cannot be read, or is no such model.
        UsageError: Its classes or its preprocessing are not the student's.
    """
    if path.suffix == ".safetensors":
        return _native(path, classes, device)
    return _onnx(path, classes, device)


def distilled(
    loss: torch.Tensor,
    logits: torch.Tensor,
    taught: torch.Tensor,
    *,
    temperature: float,
    soft_weight: float,
) -> torch.Tensor:
    """Mix the labels' loss with the teacher's: (1 − w)·loss + w·T²·KL(teacher ‖ student) at T.

    Args:
        loss: Of the labels, a scalar.
        logits: ``(N, classes)`` of the student.
        taught: ``(N, classes)`` of the teacher.
        temperature: T, what both are divided by before softmax; T² keeps the size of the
            gradients, which fall with it.
        soft_weight: w, the teacher's share.

    Source:
        Hinton, Vinyals and Dean 2015, section 2; the divergence differs from their cross-entropy
        by the teacher's entropy, which has no gradient.
    """
    soft = functional.kl_div(
        functional.log_softmax(logits / temperature, dim=1),
        functional.log_softmax(taught / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - soft_weight) * loss + soft_weight * temperature**2 * soft


def _native(path: Path, classes: int, device: torch.device) -> Teacher:
    tensors, metadata = native_weights.open_safetensors(path)
    if native_weights.METADATA_KEY not in metadata:
        raise FileError(
            f"{path} was not written by edgedeploy train",
            fix="export it, and pass the .onnx file as the teacher",
        )
    weights = native_weights.load(tensors, metadata[native_weights.METADATA_KEY], source=str(path))
    _check(path, weights.network.classes, classes, weights.preprocessing)
    module = NetworkModule(weights.network)
    fill(module, weights.tensors)
    # torch annotates the other forms of to() only
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.eval()
    variant = Variant.from_name(path.stem)
    side = weights.base_resolution if variant is None else variant.resolution

    def teach(pictures: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            logits: torch.Tensor = module(scaled_input(pictures, side))
        return logits

    return teach


def _onnx(path: Path, classes: int, device: torch.device) -> Teacher:
    import onnxruntime

    model = model_file.read(path)
    _check(path, model.output.shape[-1], classes, model.preprocessing)
    if model.softmax:
        raise UsageError(
            f"{path} ends in Softmax, a teacher must give logits",
            fix="export it again without, or pass the weight file it was exported from",
        )
    if model.input.shape[0] is not None:
        raise UsageError(
            f"{path} has the input {model.input}, a teacher must take any number of pictures",
            fix="pass a model of edgedeploy export, or the weight file it was exported from",
        )
    if model.side is None or model.side[0] != model.side[1]:
        raise UsageError(
            f"{path} has the input {model.input}, a teacher needs one square size",
            fix="export it again with --resolution",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name, side = model.input.name, model.side[0]

    def teach(pictures: torch.Tensor) -> torch.Tensor:
        images = scaled_input(pictures.cpu(), side).contiguous().numpy()
        return torch.from_numpy(session.run(None, {name: images})[0]).to(device)

    return teach


def _check(path: Path, found: int | None, classes: int, rule: Preprocessing | None) -> None:
    if found != classes:
        raise UsageError(
            f"{path} has {found} classes, the training images have {classes}",
            fix="pass a teacher that was trained on the same classes",
        )
    if rule != RULE:
        raise UsageError(
            f"{path} takes pictures prepared by {rule}, the student by {RULE}",
            fix="pass a teacher that edgedeploy train made",
        )
