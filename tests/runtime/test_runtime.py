from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy import Runtime
from edgedeploy.errors import (
    ArtifactError,
    TensorMismatchError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from edgedeploy.runtime.checking import checked
from edgedeploy.runtime.manifest import TensorInfo
from edgedeploy.runtime.preprocessing import Preprocessing
from tests.artifacts import CLASSES, SIDE, expected, small_model, write_artifact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedeploy.types import Array


def batch_of(count: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 3, SIDE, SIDE)).astype(np.float32)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "small" / "ort-fp32")


@pytest.fixture
def runtime(artifact: Path) -> Iterator[Runtime]:
    with Runtime.load(artifact) as loaded:
        yield loaded


@pytest.mark.parametrize("count", [1, 2, 7])
def test_infer_gives_the_models_output_for_any_batch(runtime: Runtime, count: int) -> None:
    output = runtime.infer(batch_of(count))
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected(batch_of(count)), atol=1e-6)


def test_outputs_survive_the_next_call(runtime: Runtime) -> None:
    first = runtime.infer(batch_of(1, seed=1))
    copy = first.copy()
    runtime.infer(batch_of(1, seed=2))
    np.testing.assert_array_equal(first, copy)
    first[:] = 0  # the caller owns it


def test_a_batch_that_is_not_contiguous_is_taken(runtime: Runtime) -> None:
    pictures = np.ascontiguousarray(batch_of(2).transpose(0, 2, 3, 1))
    view = pictures.transpose(0, 3, 1, 2)
    assert not view.flags.c_contiguous
    np.testing.assert_allclose(runtime.infer(view), expected(view), atol=1e-6)


def test_a_read_only_batch_is_taken_and_a_batch_is_never_changed(runtime: Runtime) -> None:
    batch = batch_of(1)
    batch.flags.writeable = False
    np.testing.assert_allclose(runtime.infer(batch), expected(batch), atol=1e-6)
    np.testing.assert_array_equal(batch, batch_of(1))


def test_values_that_are_large_but_finite_are_taken(runtime: Runtime) -> None:
    assert np.isfinite(runtime.infer(np.full((1, 3, SIDE, SIDE), 1e36, np.float32))).all()


BAD = {
    "empty": (np.zeros((0, 3, SIDE, SIDE), np.float32), r"shape \(0, 3, 8, 8\), the model takes"),
    "float64": (batch_of(1).astype(np.float64), "is float64, the model takes .* float32"),
    "uint8": (np.zeros((1, 3, SIDE, SIDE), np.uint8), "is uint8"),
    "other byte order": (batch_of(1).astype(">f4"), "is >f4"),
    "NHWC": (batch_of(1).transpose(0, 2, 3, 1), r"shape \(1, 8, 8, 3\)(?s:.*)batch.transpose"),
    "no batch axis": (batch_of(1)[0], r"shape \(3, 8, 8\)(?s:.*)numpy.newaxis"),
    "another size": (
        np.zeros((1, 3, 9, 9), np.float32),
        r"shape \(1, 3, 9, 9\), the model takes \(any, 3, 8, 8\)(?s:.*)rt.preprocess",
    ),
    "one axis": (np.zeros(3, np.float32), r"shape \(3,\)"),
    "no axis": (np.zeros((), np.float32), r"shape \(\)"),
    "NaN": (np.full((1, 3, SIDE, SIDE), np.nan, np.float32), "192 values of 192 that are NaN"),
    "infinity": (np.full((1, 3, SIDE, SIDE), -np.inf, np.float32), "192 values of 192"),
    "a list": ([[[[0.0]]]], "is list, the model takes a NumPy array of float32"),
}


@pytest.mark.parametrize("name", BAD)
def test_infer_says_what_is_wrong_with_a_batch(runtime: Runtime, name: str) -> None:
    batch, words = BAD[name]
    with pytest.raises(TensorMismatchError, match=words):
        runtime.infer(batch)
    with pytest.raises(TensorMismatchError, match=words):
        runtime.bind(batch)


def test_a_batch_of_another_number_than_the_model_has_is_told() -> None:
    fixed = TensorInfo("image", (4, 3, SIDE, SIDE), "float32")
    with pytest.raises(TensorMismatchError, match=r"the model takes \(4, 3, 8, 8\)") as caught:
        checked(batch_of(1), fixed)
    assert caught.value.fix.startswith("pass batches of 4,")


def test_one_nan_among_many_values_is_found(runtime: Runtime) -> None:
    batch = batch_of(3)
    batch[2, 1, 4, 4] = np.nan
    with pytest.raises(TensorMismatchError, match="1 values of 576"):
        runtime.infer(batch)


def test_several_threads_get_their_own_answers(runtime: Runtime) -> None:
    def ask(seed: int) -> bool:
        batch = batch_of(1 + seed % 3, seed)
        return all(np.allclose(runtime.infer(batch), expected(batch), atol=1e-6) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(8)))


def test_closing_while_another_thread_infers_breaks_nothing(artifact: Path) -> None:
    runtime = Runtime.load(artifact)
    started = threading.Event()
    seen: list[str] = []

    def ask() -> None:
        try:
            while True:
                runtime.infer(batch_of(1))
                started.set()
        except UsageError as error:
            seen.append(error.problem)

    thread = threading.Thread(target=ask)
    thread.start()
    assert started.wait(10)
    runtime.close()
    thread.join(10)
    assert seen == ["<Runtime small ort-fp32, closed> is closed"]


def test_a_closed_runtime_says_so_and_closes_twice(artifact: Path) -> None:
    runtime = Runtime.load(artifact)
    runtime.close()
    runtime.close()
    for call in (runtime.infer, runtime.bind):
        with pytest.raises(UsageError, match=r"closed(?s:.*)fix: load it again"):
            call(batch_of(1))
    assert runtime.info["backend"] == "ort"


def test_bind_returns_a_call_that_repeats(runtime: Runtime) -> None:
    batch = batch_of(2)
    call = runtime.bind(batch)
    for _ in range(3):
        call()
    np.testing.assert_allclose(runtime.infer(batch), expected(batch), atol=1e-6)


def test_info_is_json_and_tells_what_runs(runtime: Runtime, artifact: Path) -> None:
    info = json.loads(json.dumps(runtime.info))
    assert info["backend"] == "ort"
    assert info["library"].startswith("onnxruntime ")
    assert info["precision"] == "fp32"
    assert info["device"] == "CPU"
    assert info["threads"] >= 1
    assert info["input"] == {"name": "image", "shape": [None, 3, 8, 8], "dtype": "float32"}
    assert info["preprocessing"]["crop_fraction"] == 0.875
    assert info["labels"] == CLASSES
    assert info["artifact"] == str(artifact)
    assert info["why"] == "ort-fp32: the only artifact here"
    assert info["passed_over"] == []


def test_threads_are_used_as_asked(artifact: Path) -> None:
    with Runtime.load(artifact, threads=1) as runtime:
        assert runtime.info["threads"] == 1
    with pytest.raises(UsageError, match="threads is 0, it must be 1 or more"):
        Runtime.load(artifact, threads=0)


# --- classify ---------------------------------------------------------------------------------


def plain(red: int, green: int, blue: int, size: tuple[int, int] = (20, 30)) -> Array:
    return np.full((*size, 3), (red, green, blue), np.uint8)


def test_classify_names_the_best_classes_in_order(runtime: Runtime) -> None:
    found = runtime.classify(plain(0, 51, 255), top=2)
    assert [(p.index, p.label) for p in found] == [(2, "blue"), (1, "green")]
    logits = np.array([0, 0.2, 1, -1.2])
    assert found[0].score == pytest.approx(np.exp(1) / np.exp(logits).sum(), rel=1e-5)


def test_classify_gives_all_classes_when_more_are_asked_for(runtime: Runtime) -> None:
    found = runtime.classify(plain(255, 0, 0), top=99)
    assert len(found) == CLASSES
    assert sum(p.score for p in found) == pytest.approx(1)


def test_equal_scores_come_in_the_order_of_their_indices(runtime: Runtime) -> None:
    assert [p.index for p in runtime.classify(plain(0, 0, 0))] == [0, 1, 2, 3]


def test_bgr_frames_are_told_apart_from_rgb(runtime: Runtime) -> None:
    frame = plain(0, 0, 255)
    assert runtime.classify(frame, top=1)[0].label == "blue"
    assert runtime.classify(frame, top=1, color="bgr")[0].label == "red"


def test_a_model_that_takes_bgr_gets_bgr(tmp_path: Path) -> None:
    rule = {"mean": [0, 0, 0], "std": [255, 255, 255], "color": "bgr"}
    with Runtime.load(write_artifact(tmp_path / "a", preprocessing=rule)) as runtime:
        assert runtime.classify(plain(255, 0, 0), top=1)[0].index == 2
        assert runtime.classify(plain(255, 0, 0), top=1, color="bgr")[0].index == 0


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1)])
def test_grey_frames_are_taken(runtime: Runtime, shape: tuple[int, ...]) -> None:
    grey = np.full(shape, 255, np.uint8)
    np.testing.assert_array_equal(
        runtime.preprocess(grey), runtime.preprocess(plain(255, 255, 255))
    )


def test_the_alpha_of_a_frame_is_dropped(runtime: Runtime) -> None:
    frame = np.dstack([plain(9, 99, 199), np.full((20, 30), 7, np.uint8)])
    np.testing.assert_array_equal(runtime.preprocess(frame), runtime.preprocess(plain(9, 99, 199)))


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (300, 2), (8, 8)])
def test_frames_of_any_size_are_taken(runtime: Runtime, size: tuple[int, int]) -> None:
    assert runtime.classify(plain(0, 255, 0, size), top=1)[0].label == "green"


BAD_FRAMES = {
    "float": (
        np.zeros((4, 4, 3), np.float32),
        r"float32 \(4, 4, 3\), it must be uint8 \(H, W, 3\)",
    ),
    "two channels": (np.zeros((4, 4, 2), np.uint8), r"uint8 \(4, 4, 2\)"),
    "channels first": (np.zeros((3, 40, 40), np.uint8), r"uint8 \(3, 40, 40\)"),
    "empty": (np.zeros((0, 4, 3), np.uint8), r"uint8 \(0, 4, 3\)"),
    "a path": ("cat.jpg", "the frame is a str"),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_classify_says_what_is_wrong_with_a_frame(runtime: Runtime, name: str) -> None:
    frame, words = BAD_FRAMES[name]
    with pytest.raises(TensorMismatchError, match=words):
        runtime.classify(frame)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("top", [0, -1, 2.5, 2.0, "3", None, np.array([1, 2])])
def test_classify_refuses_a_number_of_answers_that_is_none(runtime: Runtime, top: Any) -> None:
    with pytest.raises(UsageError, match=r"top is .*, it must be a whole number, 1 or more"):
        runtime.classify(plain(0, 0, 0), top=top)


def test_classify_takes_numpys_whole_numbers(runtime: Runtime) -> None:
    assert len(runtime.classify(plain(0, 0, 0), top=np.int64(2))) == 2  # type: ignore[arg-type]  # so it comes out of arrays


def test_classify_refuses_an_order_of_channels_that_there_is_not(runtime: Runtime) -> None:
    with pytest.raises(UnknownNameError, match="no order of channels is called 'gbr'"):
        runtime.classify(plain(0, 0, 0), color="gbr")


def test_classify_says_that_the_preprocessing_is_missing_and_takes_it_at_load(
    tmp_path: Path,
) -> None:
    folder = write_artifact(tmp_path / "a", preprocessing=None, labels=None)
    with Runtime.load(folder) as runtime:
        assert runtime.infer(batch_of(1)).shape == (1, CLASSES)
        with pytest.raises(UsageError, match="does not say how pictures are preprocessed"):
            runtime.classify(plain(0, 0, 0))
    rule = Preprocessing(mean=(0, 0, 0), std=(255, 255, 255))
    with Runtime.load(folder, preprocessing=rule) as runtime:
        best = runtime.classify(plain(0, 255, 0), top=1)[0]
        assert (best.index, best.label) == (1, None)
        assert runtime.info["labels"] is None
    with Runtime.load(folder, preprocessing=rule, labels=["r", "g", "b", "k"]) as runtime:
        labels = [p.label for p in runtime.classify(plain(0, 255, 0))]
        assert labels == ["g", "r", "b", "k"]
    for wrong in (["r", "g"], "rgbk"):
        with pytest.raises(UsageError, match=r"labels for the 4 classes of small"):
            Runtime.load(folder, labels=wrong)


def test_a_preprocessing_that_contradicts_the_artifact_is_refused(artifact: Path) -> None:
    rule = Preprocessing(mean=(1, 2, 3), std=(255, 255, 255))
    with pytest.raises(UsageError, match=r"was built for .*0\.0, 0\.0, 0\.0.* was asked for"):
        Runtime.load(artifact, preprocessing=rule)


def test_the_score_is_the_output_itself_where_the_graph_ends_in_softmax(tmp_path: Path) -> None:
    with Runtime.load(write_artifact(tmp_path / "a", softmax=True)) as runtime:
        best = runtime.classify(plain(255, 0, 0), top=1)[0]
        output = runtime.infer(runtime.preprocess(plain(255, 0, 0)))
        assert best.score == output[0, 0]


def test_a_model_of_any_size_infers_and_says_that_classify_needs_one(tmp_path: Path) -> None:
    inputs = [{"name": "image", "shape": [None, 3, None, None], "dtype": "float32"}]
    with Runtime.load(write_artifact(tmp_path / "a", inputs=inputs)) as runtime:
        assert runtime.infer(np.zeros((1, 3, 5, 7), np.float32)).shape == (1, CLASSES)
        with pytest.raises(UsageError, match=r"takes any size(?s:.*)--resolution"):
            runtime.classify(plain(0, 0, 0))


# --- loading from a folder ----------------------------------------------------------------------


def test_the_best_artifact_that_loads_is_chosen_and_the_others_are_named(tmp_path: Path) -> None:
    good = write_artifact(tmp_path / "m" / "ort-fp32")
    write_artifact(tmp_path / "m" / "ort-fp16", precision="fp16")
    broken = write_artifact(
        tmp_path / "m" / "openvino-fp32", backend="openvino", content={"model.xml": b"<net/>"}
    )
    damaged = tmp_path / "m" / "ort-int8"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{")
    with Runtime.load(tmp_path) as runtime:
        info = runtime.info
    assert info["artifact"] == str(good)
    assert info["why"] == "ort-fp32: the best of 3 artifacts, after 1 that did not load"
    reasons = {row["artifact"]: row["reason"] for row in info["passed_over"]}
    assert "cannot read" in reasons[str(broken)]
    assert "is damaged" in reasons[str(damaged)]
    assert reasons[str(tmp_path / "m" / "ort-fp16")] == "ranks behind ort-fp32"


def test_what_is_asked_for_is_chosen(tmp_path: Path) -> None:
    write_artifact(tmp_path / "ort-fp32")
    write_artifact(tmp_path / "ort-fp16", precision="fp16")
    with Runtime.load(tmp_path, precision="fp16") as runtime:
        assert runtime.info["why"] == "ort-fp16: fp16 was asked for"
    with pytest.raises(UsageError, match="openvino int8 was asked for, small has: ort-fp16, ort-f"):
        Runtime.load(tmp_path, backend="openvino", precision="int8")


def test_when_nothing_loads_every_reason_is_given(tmp_path: Path) -> None:
    for name in ("fp32", "fp16"):
        folder = write_artifact(tmp_path / f"ort-{name}", precision=name)
        (folder / "model.onnx").write_bytes(b"cut")
    with pytest.raises(UnsupportedError, match=r"none of the 2 artifacts(?s:.*)ort-fp32:.*SHA-256"):
        Runtime.load(tmp_path)


def test_an_engine_that_is_no_model_is_refused_with_the_vendors_words(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", content={"model.onnx": b"not a model"})
    with pytest.raises(ArtifactError, match=r"ONNX Runtime [\d.]+ refuses .*model.onnx"):
        Runtime.load(folder)


def test_a_backend_that_this_version_does_not_have_is_refused(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", backend="tpu")
    with pytest.raises(ArtifactError, match="of backend 'tpu', this version has: ort, openvino"):
        Runtime.load(folder)
    folder = write_artifact(tmp_path / "b", backend="errors")  # a module, but no backend
    with pytest.raises(ArtifactError, match="of backend 'errors'"):
        Runtime.load(folder)


def test_ort_refuses_another_device(artifact: Path) -> None:
    with pytest.raises(
        UnsupportedError, match="'GPU' was asked for, backend 'ort' runs on the CPU"
    ):
        Runtime.load(artifact, device="GPU")
    with Runtime.load(artifact, device="cpu") as runtime:
        assert runtime.info["device"] == "CPU"


def test_a_shape_that_the_graph_does_not_take_is_explained(tmp_path: Path) -> None:
    """The manifest says any size, the graph says 8."""
    inputs = [{"name": "image", "shape": [None, 3, None, None], "dtype": "float32"}]
    folder = write_artifact(
        tmp_path / "a",
        inputs=inputs,
        content={"model.onnx": small_model().SerializeToString()},
    )
    with (
        Runtime.load(folder) as runtime,
        pytest.raises(UsageError, match=r"cannot infer a batch of shape \(1, 3, 9, 9\)"),
    ):
        runtime.infer(np.zeros((1, 3, 9, 9), np.float32))


@pytest.mark.parametrize(
    ("package", "content", "words"),
    [
        (None, "", "the package 'onnxruntime' is not installed\n  fix: pip install"),
        ("onnxruntime", "import libfoo_gone", "installed but does not load: No module named"),
        ("onnxruntime", "raise ImportError('libfoo.so.1')", "does not load: libfoo.so.1"),
        ("onnxruntime", "raise OSError('libbar.so.2')", "does not load: libbar.so.2"),
    ],
)
def test_a_vendor_that_does_not_import_is_one_error_with_a_fix(
    artifact: Path, tmp_path: Path, package: str | None, content: str, words: str
) -> None:
    if package is None:
        block = "import sys; sys.modules['onnxruntime'] = None"
    else:
        fake = tmp_path / "path" / package
        fake.mkdir(parents=True)
        (fake / "__init__.py").write_text(content)
        block = f"import sys; sys.path.insert(0, {str(fake.parent)!r})"
    code = f"""{block}
from edgedeploy import Runtime
from edgedeploy.errors import MissingDependencyError
try:
    Runtime.load({str(artifact)!r})
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert words in done.stdout
