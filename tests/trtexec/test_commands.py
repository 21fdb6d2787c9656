from __future__ import annotations

import contextlib
import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.errors import (
    ArtifactError,
    EdgeDeployError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from edgedeploy.trtexec.artifacts import version_for
from edgedeploy.trtexec.commands import Command, CommandSpec, command, shape
from tests.artifacts import write_artifact
from tests.trtexec.runs import built, read, waiting

if TYPE_CHECKING:
    from pathlib import Path


def typed_in(artifact: Path, version: str | None = None, **spec: Any) -> Command:
    """The command for an artifact that lies at ``a`` on the board."""
    manifest = read(artifact)
    asked = CommandSpec(**{"program": "trtexec", "folder": "a", **spec})
    return command(manifest, version or version_for(manifest), asked)


def words(artifact: Path, version: str | None = None, **spec: Any) -> list[str]:
    return list(typed_in(artifact, version, **spec).argv[1:])


SHAPES = [
    "--minShapes=input:1x3x224x224",
    "--optShapes=input:1x3x224x224",
    "--maxShapes=input:8x3x224x224",
]


def test_a_nano_builds_with_the_flags_of_8_2(tmp_path: Path) -> None:
    assert words(waiting(tmp_path / "a")) == [
        "--onnx=a/source.onnx",
        "--saveEngine=a/model.engine",
        "--buildOnly",
        "--workspace=256",
        "--noTF32",
        "--nvtxMode=verbose",
        "--fp16",
        *SHAPES,
    ]


def test_a_nano_measures_one_query_at_a_time_with_copies(tmp_path: Path) -> None:
    found = typed_in(waiting(tmp_path / "a"), measure=True)
    assert list(found.argv) == [
        "trtexec",
        "--loadEngine=a/model.engine",
        "--shapes=input:1x3x224x224",
        "--warmUp=2000",
        "--duration=10",
        "--iterations=662",
        "--avgRuns=100",
        "--exposeDMA",
        "--useCudaGraph",
        "--exportTimes=net-trt-fp16.times.json",
    ]
    assert found.text.endswith(" > net-trt-fp16.trtexec.log 2>&1")
    assert found.times == "net-trt-fp16.times.json"


def test_11_is_told_to_undo_its_defaults_and_is_told_no_types(tmp_path: Path) -> None:
    folder = built(tmp_path / "a", "11.1.0", "int8", int8_mode="typed")
    measuring = words(folder, measure=True)
    assert {"--includeDataTransfers", "--noSpinWait"} < set(measuring)
    assert "--useCudaGraph" not in measuring
    assert "--noCudaGraph" in words(folder, measure=True, cuda_graph=False)
    building = " ".join(words(folder))
    for gone in ("--fp16", "--int8", "--calib", "--stronglyTyped", "--workspace", "--buildOnly"):
        assert gone not in building
    assert "--memPoolSize=workspace:256" in building
    assert "--skipInference" in building


def test_a_cuda_graph_and_busy_waiting_are_said_or_left_at_the_default(tmp_path: Path) -> None:
    old, new = waiting(tmp_path / "old"), built(tmp_path / "new", "11.1.0")
    asked: dict[str, Any] = {"measure": True, "cuda_graph": True, "spin_wait": True}
    assert {"--useCudaGraph", "--useSpinWait"} < set(words(old, **asked))
    assert not {"--noCudaGraph", "--noSpinWait", "--useCudaGraph"} & set(words(new, **asked))


@pytest.mark.parametrize(
    ("tensorrt", "precision", "mode", "said"),
    [
        ("8.2.1", "fp32", None, []),
        ("8.2.1", "int8", "implicit", ["--fp16", "--int8", "--calib=a/calibration.cache"]),
        ("8.5.2", "int8", "qdq", ["--fp16", "--int8"]),
        ("10.3.0", "fp32", None, ["--stronglyTyped"]),
        ("10.3.0", "fp16", None, ["--stronglyTyped"]),
        ("10.3.0", "int8", "typed", ["--stronglyTyped"]),
        ("10.3.0", "int8", "qdq", ["--fp16", "--int8"]),
        ("11.1.0", "fp16", None, []),
    ],
)
def test_types_are_said_as_the_source_needs_them(
    tmp_path: Path, tensorrt: str, precision: str, mode: str | None, said: list[str]
) -> None:
    found = words(waiting(tmp_path / "a", tensorrt, precision, int8_mode=mode))
    flags = ("--fp16", "--int8", "--calib", "--stronglyTyped")
    assert [word for word in found if word.startswith(flags)] == said


def test_every_option_of_an_artifact_is_said(tmp_path: Path) -> None:
    options = {
        "batch": [1, 4, 16],
        "workspace_mb": 64,
        "optimization_level": 4,
        "version_compatible": True,
        "hardware_compatible": "ampere-plus",
        "dla_core": 1,
    }
    folder = waiting(tmp_path / "a", "10.3.0", options=options)
    found = words(folder, timing_cache="t.cache")
    assert found[3:] == [
        "--memPoolSize=workspace:64",
        "--noTF32",
        "--profilingVerbosity=detailed",
        "--fp16",  # on a DLA before TensorRT 11 types are said by flags
        "--minShapes=input:1x3x224x224",
        "--optShapes=input:4x3x224x224",
        "--maxShapes=input:16x3x224x224",
        "--builderOptimizationLevel=4",
        "--versionCompatible",
        "--excludeLeanRuntime",
        "--hardwareCompatibilityLevel=ampere+",
        "--useDLACore=1",
        "--allowGPUFallback",
        "--timingCacheFile=t.cache",
    ]
    measuring = words(folder, measure=True)
    assert measuring[1:3] == ["--useDLACore=1", "--shapes=input:4x3x224x224"]


def test_an_option_that_the_version_does_not_have_is_refused(tmp_path: Path) -> None:
    folder = waiting(tmp_path / "a", options={"optimization_level": 5})
    with pytest.raises(UnsupportedError, match=r"8\.2\.1 cannot be told 'optimisation level'"):
        words(folder)


def test_a_fixed_batch_needs_no_shapes(tmp_path: Path) -> None:
    folder = waiting(tmp_path / "a", shape=(1, 3, 224, 224))
    assert not [w for m in (True, False) for w in words(folder, measure=m) if "hapes=" in w]


@given(folder=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_whatever_a_folder_is_called_the_shell_hands_it_over_whole(
    tmp_path_factory: pytest.TempPathFactory, folder: str
) -> None:
    found = typed_in(waiting(tmp_path_factory.mktemp("w") / "a"), folder=folder)
    *said, arrow, _log, _both = shlex.split(found.text)
    assert tuple(said) == found.argv
    assert arrow == ">"
    assert found.argv[1] == f"--onnx={folder.rstrip('/') or '/'}/source.onnx"


@pytest.mark.parametrize("name", ["a,b", "a b", "it's", "a=b", "", ":a", "a:"])
def test_an_input_that_cannot_be_named_is_refused(tmp_path: Path, name: str) -> None:
    inputs = [{"name": name, "shape": [None, 3, 8, 8], "dtype": "float32"}]
    with pytest.raises(UnsupportedError, match="the input is called"):
        words(waiting(tmp_path / "a", inputs=inputs))


def test_a_colon_in_a_name_is_fine_and_an_open_size_is_not(tmp_path: Path) -> None:
    inputs = [{"name": "Input:0", "shape": [None, 3, 8, 8], "dtype": "float32"}]
    assert shape(read(waiting(tmp_path / "a", inputs=inputs)), 2) == "Input:0:2x3x8x8"
    with pytest.raises(UnsupportedError, match="TensorRT's is fixed"):
        words(waiting(tmp_path / "b", shape=(None, 3, None, None)))


def test_the_version_is_the_artifacts_unless_one_is_named(tmp_path: Path) -> None:
    nano, orin = read(waiting(tmp_path / "a")), read(built(tmp_path / "b", "10.3.0"))
    assert version_for(nano) == "8.2.1"
    assert version_for(orin) == "10.3.0"
    assert version_for(nano, "8.4.1") == "8.4.1"
    assert version_for(orin, device="jetson-nano") == "8.2.1"
    with pytest.raises(UsageError, match="both name a version"):
        version_for(nano, "8.2.1", "jetson-nano")
    with pytest.raises(UnknownNameError, match="no device is called"):
        version_for(nano, device="jetson-nanoo")
    with pytest.raises(UnsupportedError, match="no TensorRT of jetson-tk1"):
        version_for(nano, device="jetson-tk1")
    with pytest.raises(UsageError, match="no version of TensorRT"):
        version_for(nano, "latest")


@pytest.mark.parametrize(
    ("made", "mode", "version"),
    [
        (("8.2.1", "fp16"), None, "10.3.0"),  # float32 inside, for flags
        (("10.3.0", "fp16"), None, "8.6.2"),  # float16 inside, an opset too new
        (("8.6.2", "fp16"), None, "8.2.1"),  # an opset too new
        (("8.2.1", "int8"), "implicit", "11.1.0"),  # reads no cache
    ],
)
def test_a_source_for_another_generation_is_refused(
    tmp_path: Path, made: tuple[str, str], mode: str | None, version: str
) -> None:
    folder = waiting(tmp_path / "a", *made, int8_mode=mode)
    with pytest.raises(UnsupportedError, match=f"made for TensorRT {made[0]}, not for {version}"):
        words(folder, version)


def test_a_source_for_an_older_generation_that_reads_alike_is_taken(tmp_path: Path) -> None:
    assert "--memPoolSize=workspace:256" in words(waiting(tmp_path / "a"), "8.5.2")


def test_an_engine_of_another_version_is_not_measured(tmp_path: Path) -> None:
    folder = built(tmp_path / "a", "10.3.0.30")
    assert words(folder, "10.3.0", measure=True)
    with pytest.raises(ArtifactError, match=r"built by TensorRT 10\.3\.0\.30, trtexec of 10\.9\.0"):
        words(folder, "10.9.0", measure=True)


def test_an_artifact_that_lost_its_ranges_is_refused(tmp_path: Path) -> None:
    folder = waiting(
        tmp_path / "a", "8.2.1", "int8", int8_mode="implicit", content={"source.onnx": b"s"}
    )
    with pytest.raises(ArtifactError, match=r"no calibration\.cache"):
        words(folder)


@pytest.mark.parametrize("measure", [True, False])
def test_engines_that_trtexec_does_not_run_are_refused(tmp_path: Path, *, measure: bool) -> None:
    rtx = built(tmp_path / "a", "1.7.1", runs_on={"portable": False, "library": "tensorrt_rtx"})
    with pytest.raises(UnsupportedError, match="TensorRT-RTX"):
        words(rtx, measure=measure)
    with pytest.raises(UnsupportedError, match="'ort'"):
        words(write_artifact(tmp_path / "b"), measure=measure)


JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.just({})
)


@given(data=st.data())
def test_no_manifest_crashes_the_making(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "manifests"
    if not folder.exists():
        waiting(folder, "8.2.1", "int8", int8_mode="implicit")
    document = json.loads((folder / "manifest.json").read_text())
    block = data.draw(st.sampled_from(["runs_on", "options", "precision", "engine", "model"]))
    if isinstance(document[block], dict):
        document[block][data.draw(st.sampled_from(sorted(document[block])))] = data.draw(JUNK)
    else:
        document[block] = data.draw(JUNK)
    damaged = folder.with_name("damaged")
    damaged.mkdir(exist_ok=True)
    (damaged / "manifest.json").write_text(json.dumps(document))
    with contextlib.suppress(EdgeDeployError):
        for measure in (True, False):
            found = typed_in(damaged, measure=measure)
            assert found.text.isprintable()
            assert "/" not in found.log


def test_an_artifact_that_does_not_say_its_tensorrt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeDeployError, match="None"):
        words(waiting(tmp_path / "a", runs_on={"library": "tensorrt"}))


def test_a_precision_that_tensorrt_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="precision is 'bf16'"):
        words(waiting(tmp_path / "a", precision="bf16"))


def test_too_old_a_tensorrt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeDeployError, match=r"8\.0\.1"):
        words(waiting(tmp_path / "a"), "8.0.1")


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_a_duration_out_of_range_is_refused(seconds: int) -> None:
    with pytest.raises(UsageError, match="the duration is"):
        CommandSpec(program="trtexec", folder="a", duration_s=seconds)
