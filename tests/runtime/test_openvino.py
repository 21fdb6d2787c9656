from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedeploy.errors import ArtifactError, UnsupportedError
from edgedeploy.runtime.runtime import Runtime
from tests.artifacts import SIDE, expected, small_model, write_artifact

if TYPE_CHECKING:
    from pathlib import Path

ov = pytest.importorskip("openvino", reason="openvino is not installed")

from edgedeploy.runtime import openvino as sessions  # noqa: E402 -- it imports openvino


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The small model as an IR."""
    folder = tmp_path_factory.mktemp("ir")
    (folder / "small.onnx").write_bytes(small_model().SerializeToString())
    ov.save_model(
        ov.Core().read_model(folder / "small.onnx"), folder / "model.xml", compress_to_fp16=False
    )
    return {name: (folder / name).read_bytes() for name in ("model.xml", "model.bin")}


@pytest.fixture
def artifact(engine: dict[str, bytes], tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "openvino-fp32", backend="openvino", content=dict(engine))


def batch_of(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(count).normal(size=(count, 3, SIDE, SIDE)).astype(np.float32)


def test_an_ir_infers_and_says_where(artifact: Path) -> None:
    with Runtime.load(artifact, threads=1) as runtime:
        np.testing.assert_allclose(runtime.infer(batch_of(1)), expected(batch_of(1)), atol=1e-5)
        engine = runtime.info["engine"]
    assert (engine["device"], engine["threads"], engine["float_type"]) == ("CPU", 1, "f32")
    assert engine["device_name"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_reaches_python_after_two_sessions_were_closed_in_turn(artifact: Path) -> None:
    code = f"""
import gc, os, signal
from edgedeploy import Runtime
first, second = Runtime.load({str(artifact)!r}), Runtime.load({str(artifact)!r})
first.close()
del first
gc.collect()
second.close()
del second
gc.collect()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("caught")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr


def test_few_shapes_stay_compiled_and_all_keep_working(artifact: Path) -> None:
    with Runtime.load(artifact) as runtime:
        for count in (1, 2, 3, 4, 5, 6, 1, 2):
            batch = batch_of(count)
            np.testing.assert_allclose(runtime.infer(batch), expected(batch), atol=1e-5)
        session = runtime._session
        assert isinstance(session, sessions.OpenVinoSession)
        assert [shape[0] for shape in session._requests] == [5, 6, 1, 2]


@pytest.mark.parametrize("device", ["cpu", "AUTO", "AUTO:CPU"])
def test_the_device_is_chosen_by_name(artifact: Path, device: str) -> None:
    with Runtime.load(artifact, device=device) as runtime:
        assert "CPU" in runtime.info["device"]
        np.testing.assert_allclose(runtime.infer(batch_of(2)), expected(batch_of(2)), atol=1e-5)


def test_a_device_that_is_not_here_comes_with_those_that_are(artifact: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"no device 'NPU' here, it has: .*CPU"):
        Runtime.load(artifact, device="NPU")


def test_the_device_of_the_artifact_is_the_default(
    engine: dict[str, bytes], tmp_path: Path
) -> None:
    folder = write_artifact(
        tmp_path / "a", backend="openvino", content=dict(engine), options={"ov_device": "NPU"}
    )
    with pytest.raises(UnsupportedError, match="no device 'NPU' here"):
        Runtime.load(folder)
    with Runtime.load(folder, device="CPU") as runtime:
        assert runtime.info["device"] == "CPU"


@pytest.mark.parametrize("data", [b"", b"<net/>", b"\0" * 64])
def test_an_ir_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    folder = write_artifact(tmp_path / "a", backend="openvino", content={"model.xml": data})
    with pytest.raises(ArtifactError, match=r"OpenVINO \S+ cannot read .*model.xml"):
        Runtime.load(folder)


def test_a_shape_that_the_graph_does_not_take_is_explained(
    engine: dict[str, bytes], tmp_path: Path
) -> None:
    """The manifest says any channels, the graph says 3."""
    inputs = [{"name": "image", "shape": [None, None, None, None], "dtype": "float32"}]
    folder = write_artifact(tmp_path / "a", backend="openvino", content=dict(engine), inputs=inputs)
    with (
        Runtime.load(folder) as runtime,
        pytest.raises(UnsupportedError, match=r"cannot compile for CPU .* \(1, 5, 8, 8\)"),
    ):
        runtime.infer(np.zeros((1, 5, 8, 8), np.float32))


@pytest.mark.parametrize(
    ("listed", "precision", "wanted"),
    [
        (["FP32"], "fp16", "f32"),
        (["FP32", "FP16"], "fp16", "f16"),
        (["FP32", "BF16"], "bf16", "bf16"),
        (["FP32", "FP16", "BF16"], "fp32", "f32"),
        (["FP32", "FP16", "BF16", "INT8"], "int8", "f32"),
    ],
)
def test_only_what_was_asked_and_the_device_lists_is_hinted(
    listed: list[str], precision: str, wanted: str
) -> None:
    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            assert (device, name) == ("GPU.1", "OPTIMIZATION_CAPABILITIES")
            return listed

    assert sessions.float_type(Core(), "GPU.1", precision) == wanted
