"""Artifacts that need a processor with VNNI, on processors with and without."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import EdgeDeployWarning
from edgedeploy.runtime import choosing, loading, manifest
from edgedeploy.runtime.runtime import Runtime
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path

VNNI = {"x86": "vnni"}
OLDER = "flags\t\t: fpu avx2\n"


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Path:
    """An x86 processor without VNNI."""
    path = tmp_path / "cpuinfo"
    path.write_text(OLDER)
    return path


def load(folder: Path, cpuinfo: Path, device: str | None = None) -> loading.Loaded:
    return loading.load(
        str(folder), None, None, 1, device, preprocessing=None, labels=None, cpuinfo=str(cpuinfo)
    )


def test_artifact_that_needs_vnni_loads_with_a_warning_that_names_the_cure(
    tmp_path: Path, cpuinfo: Path
) -> None:
    folder = write_artifact(tmp_path / "m" / "ort-int8", precision="int8", needs=VNNI)
    words = r"ort-int8 may answer wrongly here: .*VNNI or AMX(?s:.*)--backend ort --int8 --x86 any"
    with pytest.warns(EdgeDeployWarning, match=words):
        loaded = load(folder, cpuinfo)
    with Runtime(loaded) as runtime:
        assert runtime.info["needs"] == VNNI
        assert "saturate" in runtime.info["unmet"]
        assert runtime.info["why"].endswith(runtime.info["unmet"])


def test_warning_points_at_the_caller(tmp_path: Path, cpuinfo: Path) -> None:
    folder = write_artifact(tmp_path / "ort-int8", precision="int8", needs=VNNI)

    def as_runtime_load_does() -> loading.Loaded:
        return load(folder, cpuinfo)

    with pytest.warns(EdgeDeployWarning) as caught:
        as_runtime_load_does()
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "text", ["flags\t: avx2 avx_vnni\n", "flags\t: avx512_vnni\n", "Features\t: fp asimd\n", ""]
)
def test_processor_that_adds_exactly_or_is_unknown_is_not_warned_of(
    tmp_path: Path, cpuinfo: Path, text: str
) -> None:
    cpuinfo.write_text(text)
    folder = write_artifact(tmp_path / "ort-int8", precision="int8", needs=VNNI)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(folder, cpuinfo).unmet is None


def test_artifact_without_needs_is_not_warned_of(tmp_path: Path, cpuinfo: Path) -> None:
    folder = write_artifact(tmp_path / "ort-int8", precision="int8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Runtime(load(folder, cpuinfo)) as runtime:
            assert (runtime.info["needs"], runtime.info["unmet"]) == ({}, None)


def test_another_artifact_is_taken_where_one_saturates(tmp_path: Path, cpuinfo: Path) -> None:
    write_artifact(tmp_path / "m" / "ort-int8", precision="int8", needs=VNNI)
    write_artifact(tmp_path / "m" / "ort-fp32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load(tmp_path / "m", cpuinfo)
    assert loaded.candidate.name == "ort-fp32"
    (left,) = loaded.passed_over
    assert left.artifact.endswith("ort-int8")
    assert "built for x86 CPUs with VNNI or AMX" in left.reason
    cpuinfo.write_text("flags\t: avx_vnni\n")
    assert load(tmp_path / "m", cpuinfo).candidate.name == "ort-int8"


def test_good_accuracy_elsewhere_does_not_help_an_artifact_that_saturates_here(
    tmp_path: Path, cpuinfo: Path
) -> None:
    folder = write_artifact(tmp_path / "m" / "ort-int8", precision="int8", needs=VNNI)
    write_artifact(tmp_path / "m" / "ort-fp32")
    own = {"artifact_sha256": manifest.read(str(folder)).sha256, "data_digest": "d", "top1": 0.9}
    (folder / "eval.json").write_text(json.dumps(own))
    assert load(tmp_path / "m", cpuinfo).candidate.name == "ort-fp32"


@pytest.mark.parametrize(
    ("built_for", "asked", "saturates"),
    [
        ("GPU", None, False),
        ("NPU", None, False),
        ("CPU", "GPU.1", False),
        ("CPU", None, True),
        ("AUTO", None, True),
        ("GPU", "cpu", True),
    ],
)
def test_only_the_processor_itself_is_judged(
    tmp_path: Path, built_for: str, asked: str | None, *, saturates: bool
) -> None:
    folder = write_artifact(
        tmp_path / "m", backend="openvino", needs=VNNI, options={"ov_device": built_for}
    )
    known = manifest.read(str(folder))
    reason = choosing.unmet_need(known, asked, frozenset({"avx2"}))
    assert (reason is not None) is saturates
