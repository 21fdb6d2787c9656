from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch

from edgedeploy.errors import FileError, UsageError
from edgedeploy.exporting.request import ExportRequest, export
from edgedeploy.model_file import ModelHints
from edgedeploy.training import teaching
from edgedeploy.training.running import train
from edgedeploy.training.spec import Distillation
from tests.models import save, stem
from tests.training.tiny import SPEC

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.images import ImageSet

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(images, SPEC, tmp_path_factory.mktemp("teacher"))[1]


@pytest.fixture(scope="module")
def model(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    request = ExportRequest(name="mobilenet_v1", alpha=0.05, resolution=16, weights=weights)
    return export(request, hints=ModelHints(), out=tmp_path_factory.mktemp("models"))[0]


def test_the_loss_is_the_one_computed_by_hand() -> None:
    # at T = 2 the teacher says 3/4 and 1/4, the student 1/2 and 1/2
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    found = teaching.distilled(
        torch.tensor(0.7),
        torch.zeros(1, 2),
        torch.tensor([[2 * math.log(3), 0.0]]),
        temperature=2.0,
        soft_weight=0.6,
    )
    assert divergence == pytest.approx(0.130812)
    assert float(found) == pytest.approx(0.4 * 0.7 + 0.6 * 4 * 0.130812, rel=1e-5)


def test_the_loss_is_a_mean_over_the_batch() -> None:
    logits, taught = torch.tensor([[1.0, 0.0, 0.5]]), torch.tensor([[0.0, 2.0, 1.0]])
    one, two = (
        teaching.distilled(
            torch.tensor(0.0),
            logits.repeat(count, 1),
            taught.repeat(count, 1),
            temperature=3.0,
            soft_weight=1.0,
        )
        for count in (1, 2)
    )
    assert float(one) == pytest.approx(float(two))


def test_at_high_temperature_the_gradient_is_that_of_matching_logits() -> None:
    # Hinton 2015, section 2.1: (z − v) / N for logits of mean 0, over N classes
    logits = torch.tensor([[0.3, -0.1, -0.2]], requires_grad=True)
    taught = torch.tensor([[-0.4, 0.1, 0.3]])
    loss = teaching.distilled(
        torch.tensor(0.0), logits, taught, temperature=1000.0, soft_weight=1.0
    )
    (gradient,) = torch.autograd.grad(loss, logits)
    np.testing.assert_allclose(
        gradient.numpy(), ((logits - taught) / 3).detach().numpy(), rtol=5e-3, atol=1e-3
    )


def test_a_share_of_zero_is_the_labels_loss_alone() -> None:
    loss = teaching.distilled(
        torch.tensor(0.7), torch.zeros(1, 2), torch.ones(1, 2), temperature=2.0, soft_weight=0.0
    )
    assert float(loss) == pytest.approx(0.7)


def test_weights_and_their_export_teach_the_same(weights: Path, model: Path) -> None:
    pictures = torch.randint(
        0, 256, (3, 20, 20, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    by_torch, by_onnx = (
        teaching.load(path, classes=2, device=CPU)(pictures) for path in (weights, model)
    )
    assert by_torch.shape == (3, 2)
    assert not by_torch.requires_grad
    np.testing.assert_allclose(by_torch.numpy(), by_onnx.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["weights", "model"])
def test_a_teacher_of_other_classes_is_refused(kind: str, request: Any) -> None:
    with pytest.raises(UsageError, match="has 2 classes, the training images have 10"):
        teaching.load(request.getfixturevalue(kind), classes=10, device=CPU)


def test_a_teacher_that_wants_other_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stem.onnx"
    save(stem(), path)
    with pytest.raises(UsageError, match="takes pictures prepared by None"):
        teaching.load(path, classes=4, device=CPU)


def test_a_teacher_of_a_fixed_number_of_pictures_is_refused(model: Path, tmp_path: Path) -> None:
    proto = onnx.load(model)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(proto, tmp_path / "one.onnx")
    with pytest.raises(
        UsageError, match=r"has the input \(1, 3, 16, 16\), a teacher must take any"
    ):
        teaching.load(tmp_path / "one.onnx", classes=2, device=CPU)


@pytest.mark.parametrize("name", ["no.onnx", "no.safetensors"])
def test_a_teacher_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match=name):
        teaching.load(tmp_path / name, classes=2, device=CPU)


def test_a_checkpoint_is_no_teacher(weights: Path) -> None:
    with pytest.raises(FileError):
        teaching.load(weights.parent / "best.safetensors", classes=2, device=CPU)


def test_a_student_learns_its_teachers_answers(
    images: ImageSet, weights: Path, tmp_path: Path
) -> None:
    """With the teacher's share at 1 labels play no part: wrong ones change nothing."""
    spec = replace(
        SPEC, resolutions=(16,), distillation=Distillation(teacher=weights, soft_weight=1.0)
    )
    turned = replace(
        images,
        entries=tuple(
            replace(entry, label=None if entry.label is None else 1 - entry.label)
            for entry in images.entries
        ),
    )
    for name, found in (("right", images), ("wrong", turned)):
        train(found, spec, tmp_path / name)
    right, wrong = (
        (tmp_path / name / "log.jsonl").read_text().split('"loss": ')[1].split(",")[0]
        for name in ("right", "wrong")
    )
    assert right == wrong


@pytest.mark.parametrize("bad", [{"temperature": 0.0}, {"soft_weight": -0.1}, {"soft_weight": 1.1}])
def test_impossible_distillation_is_refused(tmp_path: Path, bad: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Distillation(teacher=tmp_path, **bad)
