from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from PIL import Image

from edgedeploy import model_file, preparing
from edgedeploy.calibration import files
from edgedeploy.calibration.feeding import MOST_UNREADABLE
from edgedeploy.calibration.measuring import CORRECTED_ON, MOST_KEPT, is_current, measure
from edgedeploy.calibration.ranges import METHODS
from edgedeploy.calibration.recipe import CORRECT_BIAS, EQUALISE, ROUND, STEPS
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import FileError, UnknownNameError, UsageError
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.qdq import quantise
from edgedeploy.graph.shapes import fix_size
from edgedeploy.graph.tensors import activations
from edgedeploy.images import ImageEntry, ImageSet, open_images
from edgedeploy.model_file import ModelHints
from edgedeploy.runtime.preprocessing import Preprocessing, arrange, fit, normalise
from edgedeploy.source_forms import SourceForm
from tests.graph.networks import block

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import Array, OnnxModel

RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3)


@pytest.fixture
def model(tmp_path: Path) -> OnnxModel:
    path = tmp_path / "block.onnx"
    graph = block(norm=True, auto_pad=True, sides=("s", "s"), output_shape=False)
    path.write_bytes(ir.serde.serialize_model(graph).SerializeToString())
    return model_file.read(path)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    draw = np.random.default_rng(0)
    for number in range(6):
        frame = draw.integers(0, 256, size=(20, 24, 3), dtype=np.uint8)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(frame).save(tmp_path / "pictures" / f"{number}.png")
    return open_images(tmp_path / "pictures")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("style", QdqStyle)
def test_what_is_measured_is_what_quantising_needs(
    model: OnnxModel, images: ImageSet, method: str, style: QdqStyle
) -> None:
    found = measure(model, images, side=(16, 16), preprocessing=RULE, method=method, threads=1)
    graph = ir.load(model.path)
    fix_size(graph, found.side)
    fold_batch_norm(graph)
    assert set(found.ranges) == set(activations(graph))
    quantise(graph, found.ranges, style)
    for chosen in found.ranges.values():
        assert chosen.low <= 0.0 <= chosen.high
        assert chosen.low < chosen.high
    assert found.ranges["stem/act"].low == 0.0
    assert found.ranges["stem/act"].high <= 6.0


def test_it_says_where_the_ranges_come_from(model: OnnxModel, images: ImageSet) -> None:
    found = measure(model, images, side=(16, 16), preprocessing=RULE)
    assert found.model_sha256 == model.sha256
    assert (found.data_digest, found.data_count) == (images.digest(), 6)
    assert (found.side, found.preprocessing) == ((16, 16), RULE)
    assert set(found.versions) == {"numpy", "onnxruntime"}


def test_the_input_is_preprocessed_and_bgr_is_fed_reversed(
    model: OnnxModel, images: ImageSet
) -> None:
    rule = RULE._replace(mean=(0.0, 0.0, 255.0), std=(1.0, 1.0, 1.0), color="bgr")
    found = measure(model, images, side=(16, 16), preprocessing=rule)
    fed = [
        normalise(fit(frame, (16, 16), rule)[None, :, :, ::-1], rule)
        for _, frame in images.pictures()
    ]
    seen = found.ranges["image"]
    assert (seen.min, seen.max) == (min(a.min() for a in fed), max(a.max() for a in fed))


def test_progress_counts_every_picture(model: OnnxModel, images: ImageSet) -> None:
    seen: list[tuple[int, int]] = []
    measure(
        model,
        images,
        side=(16, 16),
        preprocessing=RULE,
        progress=lambda done, total: seen.append((done, total)),
    )
    total = seen[0][1]
    assert total % 6 == 0  # every pass counts
    assert seen == [(i, total) for i in range(1, total + 1)]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_pictures_give_the_same_files(
    tmp_path: Path, model: OnnxModel, images: ImageSet, method: str
) -> None:
    written = []
    for name in ("first.json", "second.json"):
        found = measure(model, images, side=(16, 16), preprocessing=RULE, method=method)
        files.write(found, tmp_path / name)
        parts = (tmp_path / name, files.arrays_path(tmp_path / name))
        written.append([part.read_bytes() for part in parts if part.exists()])
    assert written[0] == written[1]


def test_the_order_of_the_pictures_changes_nothing(model: OnnxModel, images: ImageSet) -> None:
    backwards = replace(images, entries=images.entries[::-1])
    first, second = (
        measure(model, found, side=(16, 16), preprocessing=RULE, method="auto")
        for found in (images, backwards)
    )
    assert first.ranges == second.ranges


def test_every_range_says_what_chose_it(model: OnnxModel, images: ImageSet) -> None:
    found = measure(model, images, side=(16, 16), preprocessing=RULE)
    assert found.method == "auto"
    for chosen in found.ranges.values():
        assert chosen.method.split()[0] in METHODS[1:]
    assert found.ranges["classifier/conv"].method == "minmax"


def test_a_broken_picture_in_six_is_too_many(model: OnnxModel, images: ImageSet) -> None:
    broken = images.source / "3.png"
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(FileError, match=r"1 of 6 images cannot be read.*: 3\.png is not a picture"):
        measure(model, images, side=(16, 16), preprocessing=RULE)


def test_a_broken_picture_in_twenty_is_left_out_and_listed(
    model: OnnxModel, images: ImageSet
) -> None:
    twenty = replace(images, entries=(images.entries * 4)[:20])
    whole = measure(model, twenty, side=(16, 16), preprocessing=RULE)
    (images.source / "broken.png").write_bytes(b"none")
    broken = replace(twenty, entries=(ImageEntry("broken.png", None), *twenty.entries[1:]))
    found = measure(model, broken, side=(16, 16), preprocessing=RULE)
    assert list(found.unreadable) == ["broken.png"]
    assert found.data_count == 20
    assert found.ranges["image"].min == whole.ranges["image"].min
    assert is_current(found, model, broken, side=(16, 16), preprocessing=RULE)
    (images.source / "broken.png").write_bytes((images.source / "0.png").read_bytes())
    assert not is_current(found, model, broken, side=(16, 16), preprocessing=RULE)


def test_an_unknown_method_is_refused(model: OnnxModel, images: ImageSet) -> None:
    with pytest.raises(UnknownNameError, match="no calibration method is called 'entropie'"):
        measure(model, images, side=(16, 16), preprocessing=RULE, method="entropie")


def test_another_size_than_the_models_is_refused(tmp_path: Path, images: ImageSet) -> None:
    path = tmp_path / "fixed.onnx"
    path.write_bytes(ir.serde.serialize_model(block()).SerializeToString())
    with pytest.raises(UsageError, match="16x16 pixels, 24x24 were asked for"):
        measure(model_file.read(path), images, side=(24, 24), preprocessing=RULE)


@pytest.mark.parametrize("steps", [(), (EQUALISE,), (CORRECT_BIAS, ROUND), STEPS])
def test_the_steps_taken_are_written_down(
    model: OnnxModel, images: ImageSet, steps: tuple[str, ...]
) -> None:
    found = measure(
        model, images, side=(16, 16), preprocessing=RULE, method="minmax", steps=steps, threads=1
    )
    assert found.steps == tuple(step for step in STEPS if step in steps)
    assert bool(found.equalisation) is (EQUALISE in steps)
    for corrections in found.corrections.values():
        for one in corrections.values():
            assert (one.rounding is not None) is (ROUND in steps)


def test_an_unknown_step_is_refused_before_anything_is_read(
    model: OnnxModel, images: ImageSet
) -> None:
    nowhere = replace(images, entries=(ImageEntry("nowhere.png", None),))
    with pytest.raises(UnknownNameError, match=r"'rnd'[^\n]*\n.*did you mean 'round'"):
        measure(model, nowhere, side=(16, 16), preprocessing=RULE, steps=("rnd",))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "minmax"},
        {"steps": (ROUND, CORRECT_BIAS)},
        {"side": (24, 24)},
        {"preprocessing": RULE._replace(color="bgr")},
    ],
)
def test_another_wish_is_another_calibration(
    model: OnnxModel, images: ImageSet, change: dict[str, Any]
) -> None:
    wish: dict[str, Any] = {"side": (16, 16), "preprocessing": RULE, "method": "entropy"}
    found = measure(model, images, threads=1, **wish)
    assert is_current(found, model, images, **wish)
    assert not is_current(found, model, images, **(wish | change))
    # what is asked for does not depend on the order in which it is asked for
    assert is_current(found, model, images, **wish, steps=STEPS[::-1])


def test_other_pictures_weights_or_libraries_are_another_calibration(
    model: OnnxModel, images: ImageSet
) -> None:
    wish: dict[str, Any] = {"side": (16, 16), "preprocessing": RULE, "method": "minmax"}
    found = measure(model, images, steps=(), threads=1, **wish)
    wish["steps"] = ()
    assert is_current(found, model, images, **wish)
    assert not is_current(found, model, replace(images, entries=images.entries[1:]), **wish)
    assert not is_current(found, replace(model, sha256="0" * 64), images, **wish)
    older = replace(found, versions={**found.versions, "onnxruntime": "1.0.0"})
    assert not is_current(older, model, images, **wish)


def test_what_cannot_be_read_is_counted_among_all_pictures_and_not_in_the_sample(
    model: OnnxModel, images: ImageSet
) -> None:
    """Corrections are measured on a part: a tolerable few of all may be too many of that."""
    count = 2 * MOST_KEPT
    entries = list((images.entries * count)[:count])
    sampled = replace(images, entries=tuple(ImageEntry(str(i), None) for i in range(count)))
    positions = [int(entry.name) for entry in sampled.evenly(CORRECTED_ON).entries]
    most = int(MOST_UNREADABLE * count)
    assert most > MOST_UNREADABLE * CORRECTED_ON
    for number, position in enumerate(positions[:most]):
        name = f"broken{number}.png"
        (images.source / name).write_bytes(b"no picture")
        entries[position] = ImageEntry(name, None)
    mixed = replace(images, entries=tuple(entries))
    found = measure(model, mixed, side=(16, 16), preprocessing=RULE, method="minmax", threads=1)
    assert len(found.unreadable) == most
    assert found.data_count == count
    assert found.corrections


def test_int8_keeps_most_of_a_real_networks_answers_and_more_than_plain_ranges_do(
    shared: Path,
) -> None:
    """V1 0.25, the hardest. Measured, u8 and s8: 75 and 70 % without, 88 and 83 % with it."""
    path = shared / "weights" / "onnx" / "mobilenet_v1_0.25_224_imagenet.onnx"
    model = model_file.read(path, ModelHints(preprocessing=RULE))
    model = model_file.with_side(model, (224, 224), source="the test")
    pictures = open_images(shared / "imagenet-500.zip").evenly(100)
    calibrating, others = pictures.every("i%5<2"), pictures.every("i%5>=2")
    batch = [normalise(arrange(f, (224, 224), RULE), RULE) for _, f in others.pictures()]
    exact = _answers(preparing.source(model, SourceForm()), batch)
    agreement = {}
    for steps in ((), STEPS):
        found = measure(
            model, calibrating, side=(224, 224), preprocessing=RULE, steps=steps, threads=2
        )
        for style in QdqStyle:
            data = preparing.source(model, SourceForm(style=style), found)
            agreement[style, bool(steps)] = np.mean(_answers(data, batch) == exact)
    for style in QdqStyle:
        assert agreement[style, True] >= 0.78
        assert agreement[style, True] >= agreement[style, False] + 0.03
    gains = [agreement[style, True] - agreement[style, False] for style in QdqStyle]
    assert sum(gains) >= 0.12


def _answers(data: bytes, batch: list[Array]) -> Array:
    """What ONNX Runtime answers, Q/DQ pairs as they are written."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.array([session.run(None, {"input": one})[0].argmax() for one in batch])
