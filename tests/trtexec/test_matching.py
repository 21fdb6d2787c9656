from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy import devices
from edgedeploy.errors import ArtifactError, UnsupportedError
from edgedeploy.trtexec import log, matching
from tests.artifacts import write_artifact
from tests.trtexec import runs
from tests.trtexec.runs import ELEVEN, NANO, RTX

if TYPE_CHECKING:
    from pathlib import Path

ONNX = "--onnx=weights/culane_18-INT32.onnx --saveEngine=weights/culane_18-INT32.engine"


def check(folder: Path, text: str = NANO, device: str = "jetson-nano") -> tuple[str, ...]:
    run = log.parse(text, name="run.log")
    return matching.check(run, runs.read(folder), folder, devices.find(device))


def test_the_log_of_the_artifact_is_taken_without_a_doubt(tmp_path: Path) -> None:
    assert check(runs.of_the_nano_log(tmp_path / "a")) == ()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"precision": "fp16"}, r"precision is FP32, not FP32\+FP16"),
        ({"shape": (None, 3, 224, 224)}, r"input's shape is \(3, 288, 800\), not \(3, 224, 224\)"),
        ({"tensorrt": "8.5.2"}, r"TensorRT is 8\.2, not 8\.5"),
        (
            {"inputs": [{"name": "image", "shape": [None, 3, 288, 800], "dtype": "float32"}]},
            r"input is \['input'\], not \['image'\]",
        ),
        (
            {"outputs": [{"name": "logits", "shape": [None, 9], "dtype": "float32"}]},
            r"output is \['output'\], not \['logits'\]",
        ),
    ],
)
def test_a_log_of_another_engine_is_refused(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ArtifactError, match=rf"not of this artifact: its {problem}") as caught:
        check(runs.of_the_nano_log(tmp_path / "a", **changes))
    assert "belong together" in caught.value.fix


def test_a_log_of_another_board_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"compute capability is 5\.3, not 6\.2"):
        check(runs.of_the_nano_log(tmp_path / "a"), device="jetson-tx2")
    assert check(runs.of_the_nano_log(tmp_path / "b"), device="jetson-tx1") == ()


def test_a_pc_has_no_compute_capability_to_compare(tmp_path: Path) -> None:
    outputs = [{"name": "gpu_0/softmax_1", "shape": [None, 1000], "dtype": "float32"}]
    inputs = [{"name": "gpu_0/data_0", "shape": [None, 3, 224, 224], "dtype": "float32"}]
    text = RTX.replace("--onnx=resnet50/model.onnx --saveEngine=", "--loadEngine=")
    text = text.replace("size: 101.811 MiB", "size: 0.1 MiB")
    folder = runs.built(tmp_path / "a", "10.9.0", inputs=inputs, outputs=outputs)
    assert check(folder, text, "local") == ()


def test_a_board_may_have_another_patch_of_its_tensorrt_but_an_engine_may_not(
    tmp_path: Path,
) -> None:
    assert check(runs.of_the_nano_log(tmp_path / "a"), NANO.replace("v8201", "v8203")) == ()
    folder = runs.built(tmp_path / "b", "11.4.1")
    with pytest.raises(ArtifactError, match=r"TensorRT is 11\.1\.0, not 11\.4\.1"):
        check(folder, ELEVEN, "jetson-agx-orin")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("build/net/trt-int8/model.engine", "engine's folder is trt-int8, not trt-fp32"),
        ("/home/me/other/trt-fp32/model.engine", "engine's model is other, not net"),
        ("build/net/trt-fp32/model.engine", None),
        ("trt-fp32/model.engine", None),
        ("renamed/model.engine", None),
    ],
)
def test_the_folders_of_an_engine_are_compared_where_they_have_our_names(
    tmp_path: Path, path: str, problem: str | None
) -> None:
    folder = runs.of_the_nano_log(tmp_path / "net" / "trt-fp32")
    text = NANO.replace(ONNX, f"--loadEngine={path}")
    if problem is None:
        assert check(folder, text) == ()
        return
    with pytest.raises(ArtifactError, match=problem):
        check(folder, text)


def test_an_engine_of_another_size_is_refused(tmp_path: Path) -> None:
    text = NANO.replace(ONNX, "--loadEngine=model.engine")
    made: dict[str, Any] = {
        "shape": (None, 3, 288, 800),
        "outputs": [{"name": "output", "shape": [None, 201, 18, 4], "dtype": "float32"}],
    }
    folder = runs.built(tmp_path / "a", "8.2.1", "fp32", **made)
    with pytest.raises(ArtifactError, match=r"size in MiB is 186\.0, not 0\.0"):
        check(folder, text)
    assert check(folder, text.replace("size: 186 MiB", "size: 0 MiB")) == ()


def test_a_gpu_of_another_name_is_refused(tmp_path: Path) -> None:
    runs_on = {
        "library": "tensorrt",
        "library_version": "8.2.1",
        "gpu": "Xavier",
        "compute_capability": "5.3",
    }
    folder = runs.of_the_nano_log(
        tmp_path / "a", runs_on=runs_on, content={"model.engine": b"e", "source.onnx": b"s"}
    )
    with pytest.raises(ArtifactError, match="GPU is NVIDIA Tegra X1, not Xavier"):
        check(folder)


def test_a_log_that_names_no_tensors_is_a_doubt(tmp_path: Path) -> None:
    text = "\n".join(line for line in NANO.split("\n") if " binding for " not in line)
    (doubt,) = check(runs.of_the_nano_log(tmp_path / "a"), text)
    assert "was not checked" in doubt


def test_what_is_not_tensorrts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="'ort'"):
        check(write_artifact(tmp_path / "a"))
