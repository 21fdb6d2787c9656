from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from edgedeploy import Runtime, evaluating, images
from edgedeploy.errors import FileError, UsageError
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "dark": (1, 1, 1)}


def png(color: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12, 10), color).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(folder: Path, names: dict[str, str]) -> images.ImageSet:
    """Write ``{path: colour}`` and open it."""
    for name, color in names.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(COLORS[color]))
    return images.open_images(folder)


@pytest.fixture
def labelled(tmp_path: Path) -> images.ImageSet:
    """Four classes, as the small model has them; the second of class 2 lies in the wrong folder."""
    first = {"0/a.png": "red", "1/b.png": "green", "2/c.png": "blue"}
    return pictures(tmp_path / "data", {**first, "2/d.png": "red", "3/e.png": "dark"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The small model tells red, green and blue; dark pictures look red to it."""
    return write_artifact(tmp_path / "ort-fp32")


@pytest.fixture
def runtime(folder: Path) -> Iterator[Runtime]:
    with Runtime.load(folder, threads=1) as loaded:
        yield loaded


def test_top1_is_the_share_of_right_best_answers(
    runtime: Runtime, labelled: images.ImageSet
) -> None:
    found = evaluating.evaluate(runtime, labelled)
    assert found.top1 == 3 / 5
    assert found.top5 is None  # four classes: it would always be 1
    assert found.count == 5
    assert found.class_offset == 0
    assert found.data == "data"
    assert found.data_digest == labelled.digest()


def test_an_fp32_artifact_agrees_with_itself(runtime: Runtime, labelled: images.ImageSet) -> None:
    found = evaluating.evaluate(runtime, labelled)
    assert (found.agreement, found.reference) == (1.0, "ort-fp32")


def test_agreement_counts_equal_best_answers(
    runtime: Runtime, labelled: images.ImageSet, tmp_path: Path
) -> None:
    rule = {"mean": [0, 0, 0], "std": [255, 255, 255], "color": "bgr"}  # swaps red and blue
    other = write_artifact(tmp_path / "ort-int8", precision="int8", preprocessing=rule)
    with Runtime.load(other) as swapped:
        found = evaluating.evaluate(swapped, labelled, reference=runtime)
    assert found.agreement == 2 / 5  # green and dark
    assert found.reference == "ort-fp32"
    assert found.top1 == 2 / 5  # green, and the red one that lies among the blue


def test_without_an_fp32_artifact_the_agreement_is_null_with_a_reason(
    labelled: images.ImageSet, tmp_path: Path
) -> None:
    with Runtime.load(write_artifact(tmp_path / "a", precision="int8")) as alone:
        found = evaluating.evaluate(alone, labelled)
    assert found.agreement is None
    assert found.agreement_reason == "no fp32 artifact of small was evaluated beside it"


def test_every_picture_is_decoded_once_for_all_artifacts(
    runtime: Runtime, labelled: images.ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    real = images.decode

    def counted(data: bytes, *, name: str) -> Any:
        decoded.append(name)
        return real(data, name=name)

    monkeypatch.setattr(images, "decode", counted)
    steps: list[tuple[int, int]] = []
    with Runtime.load(write_artifact(tmp_path / "b", precision="fp16")) as other:
        found = evaluating.evaluate_all(
            {"one": runtime, "two": other},
            labelled,
            progress=lambda done, total: steps.append((done, total)),
        )
    assert list(found) == ["one", "two"]
    assert len(decoded) == 5
    assert steps == [(i, 5) for i in range(1, 6)]


def test_the_reference_is_of_the_same_backend_if_there_is_one(tmp_path: Path) -> None:
    from edgedeploy.runtime import manifest

    known = {
        name: manifest.read(
            str(
                write_artifact(
                    tmp_path / name,
                    backend=name.split("-")[0],
                    precision=name.split("-")[1],
                    model="other" if "other" in name else "small",
                )
            )
        )
        for name in ("openvino-fp32", "ort-fp32", "openvino-int8", "trt-int8", "ort-int8-other")
    }
    assert evaluating.reference_of("openvino-int8", known) == "openvino-fp32"
    assert evaluating.reference_of("trt-int8", known) == "ort-fp32"
    assert evaluating.reference_of("ort-int8-other", known) is None
    del known["ort-fp32"]
    assert evaluating.reference_of("trt-int8", known) == "openvino-fp32"


# --- class offsets ------------------------------------------------------------------------------


def test_one_class_more_than_the_data_has_shifts_by_one(runtime: Runtime, tmp_path: Path) -> None:
    data = pictures(tmp_path / "d", {"0/a.png": "green", "1/b.png": "blue", "2/c.png": "red"})
    found = evaluating.evaluate(runtime, data)
    assert (found.class_offset, found.top1) == (1, 2 / 3)
    assert found.class_offset_reason == (
        "the model has 4 classes, the data's indices end at 2: background comes first"
    )


def test_an_offset_that_was_asked_for_is_used(runtime: Runtime, tmp_path: Path) -> None:
    data = pictures(tmp_path / "d", {"0/a.png": "red", "1/b.png": "green", "2/c.png": "blue"})
    assert evaluating.evaluate(runtime, data).top1 == 0
    found = evaluating.evaluate(runtime, data, class_offset=0)
    assert (found.class_offset, found.top1) == (0, 1)
    assert found.class_offset_reason == "it was asked for"


@pytest.mark.parametrize(("asked", "last"), [("auto", 9), (2, 3), (-1, 3)])
def test_an_index_outside_the_model_is_refused_with_both(
    runtime: Runtime, tmp_path: Path, asked: Any, last: int
) -> None:
    data = pictures(tmp_path / "d", {"0/a.png": "red", f"{last}/b.png": "green"})
    with pytest.raises(
        UsageError, match=rf"class indices 0 to {last} .*, the model has 4 classes, 0 to 3"
    ):
        evaluating.evaluate(runtime, data, class_offset=asked)


def test_named_folders_that_are_not_the_models_classes_are_refused(
    runtime: Runtime, tmp_path: Path
) -> None:
    data = pictures(tmp_path / "d", {"cat/a.png": "red", "dog/b.png": "green"})
    with pytest.raises(UsageError, match=r"2 named class folders, the model 4 classes"):
        evaluating.evaluate(runtime, data)
    assert evaluating.evaluate(runtime, data, class_offset=0).class_offset == 0


# --- data without labels ------------------------------------------------------------------------


def test_pictures_without_folders_give_agreement_only(runtime: Runtime, tmp_path: Path) -> None:
    data = pictures(tmp_path / "d", {"a.png": "red", "b.png": "green"})
    found = evaluating.evaluate(runtime, data)
    assert (found.top1, found.top5, found.class_offset) == (None, None, None)
    assert found.accuracy_reason is not None
    assert "has no class folders: a.png lies at the top" in found.accuracy_reason
    assert found.agreement == 1.0


def test_one_folder_of_pictures_is_no_label(runtime: Runtime, tmp_path: Path) -> None:
    data = pictures(tmp_path / "d", {"holiday/a.png": "red", "holiday/b.png": "green"})
    found = evaluating.evaluate(runtime, data)
    assert found.top1 is None
    assert (
        found.accuracy_reason == "all pictures lie in one folder, 'holiday', which labels nothing"
    )


def test_a_broken_picture_is_an_error_by_name(runtime: Runtime, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("0/a.png", png((255, 0, 0)))
        archive.writestr("1/b.png", png((0, 255, 0))[:50])
    with pytest.raises(FileError, match=r"d.zip/1/b.png is not a picture that can be read"):
        evaluating.evaluate(runtime, images.open_images(tmp_path / "d.zip"))


def test_an_artifact_without_preprocessing_is_refused(
    labelled: images.ImageSet, tmp_path: Path
) -> None:
    with (
        Runtime.load(write_artifact(tmp_path / "a", preprocessing=None)) as bare,
        pytest.raises(UsageError, match="does not say how pictures are preprocessed"),
    ):
        evaluating.evaluate(bare, labelled)


def test_a_model_without_fixed_classes_is_refused(
    labelled: images.ImageSet, tmp_path: Path
) -> None:
    outputs = [{"name": "scores", "shape": [None, None], "dtype": "float32"}]
    with (
        Runtime.load(write_artifact(tmp_path / "a", outputs=outputs)) as odd,
        pytest.raises(UsageError, match=r"has shape \(None, None\), a classifier's is"),
    ):
        evaluating.evaluate(odd, labelled)


# --- eval.json ----------------------------------------------------------------------------------


def test_what_is_written_is_read_again(
    runtime: Runtime, folder: Path, labelled: images.ImageSet
) -> None:
    assert evaluating.read(folder) is None
    found = evaluating.evaluate(runtime, labelled)
    path = evaluating.write(found, folder)
    assert path == folder / "eval.json"
    assert evaluating.read(folder) == found
    document = json.loads(path.read_text())
    assert document["schema"] == "edgedeploy.eval/1"
    assert document["top1"] == 0.6
    assert set(document) >= {"data_digest", "count", "class_offset", "top5", "agreement", "date"}


def test_an_evaluation_of_another_engine_is_not_read(
    runtime: Runtime, folder: Path, labelled: images.ImageSet, tmp_path: Path
) -> None:
    other = write_artifact(tmp_path / "other", content={"model.onnx": b"other"})
    evaluating.write(evaluating.evaluate(runtime, labelled), other)
    assert evaluating.read(other) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "edgedeploy.eval/2"}'])
def test_a_damaged_evaluation_is_refused_with_the_command(folder: Path, text: str) -> None:
    (folder / "eval.json").write_text(text)
    with pytest.raises(FileError, match=r"eval.json is damaged(?s:.*)fix: evaluate again"):
        evaluating.read(folder)
