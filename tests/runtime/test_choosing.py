from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import ArtifactError, UnknownNameError, UsageError
from edgedeploy.runtime import choosing, cpu, manifest
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path


def artifacts(root: Path, *names: str) -> None:
    for name in names:
        backend, precision = name.split("-")
        write_artifact(root / name, backend=backend, precision=precision)


def evaluate(folder: Path, **values: Any) -> None:
    own = {"artifact_sha256": manifest.read(str(folder)).sha256, "data_digest": "d"}
    (folder / "eval.json").write_text(json.dumps(own | values))


def ranked(root: Path) -> list[str]:
    found, _ = choosing.find(str(root))
    return [candidate.name for candidate, _ in choosing.rank(found)]


def test_faster_backends_come_first_and_within_them_smaller_types(tmp_path: Path) -> None:
    artifacts(
        tmp_path, "ort-fp32", "ort-int8", "openvino-fp32", "openvino-int8", "trt-fp16", "trt-fp32"
    )
    assert ranked(tmp_path) == [
        "trt-fp16", "trt-fp32", "openvino-int8", "openvino-fp32", "ort-int8", "ort-fp32",
    ]  # fmt: skip


def test_bf16_is_last_and_ort_prefers_fp32_to_fp16(tmp_path: Path) -> None:
    artifacts(tmp_path, "openvino-bf16", "openvino-fp32", "openvino-fp16", "ort-fp16", "ort-fp32")
    assert ranked(tmp_path) == [
        "openvino-fp16", "openvino-fp32", "openvino-bf16", "ort-fp32", "ort-fp16",
    ]  # fmt: skip


def test_an_artifact_that_lost_accuracy_comes_behind_all_others(tmp_path: Path) -> None:
    artifacts(tmp_path, "openvino-int8", "openvino-fp32", "ort-fp32")
    evaluate(tmp_path / "openvino-int8", top1=0.60, agreement=0.9)
    evaluate(tmp_path / "openvino-fp32", top1=0.65, agreement=1.0)
    assert ranked(tmp_path) == ["openvino-fp32", "ort-fp32", "openvino-int8"]
    found, _ = choosing.find(str(tmp_path))
    costs = {candidate.name: cost for candidate, cost in choosing.rank(found)}
    assert costs["openvino-int8"] == "its top-1 is 60.0%, the best of this model 65.0% (eval.json)"
    assert costs["openvino-fp32"] is None


def test_two_points_of_top1_are_no_loss(tmp_path: Path) -> None:
    artifacts(tmp_path, "ort-int8", "ort-fp32")
    evaluate(tmp_path / "ort-int8", top1=0.635)
    evaluate(tmp_path / "ort-fp32", top1=0.65)
    assert ranked(tmp_path) == ["ort-int8", "ort-fp32"]


def test_accuracies_on_other_pictures_are_not_compared(tmp_path: Path) -> None:
    artifacts(tmp_path, "ort-int8", "ort-fp32")
    evaluate(tmp_path / "ort-int8", top1=0.50)
    evaluate(tmp_path / "ort-fp32", top1=0.65, data_digest="other")
    assert ranked(tmp_path) == ["ort-int8", "ort-fp32"]


def test_without_labels_the_agreement_decides(tmp_path: Path) -> None:
    artifacts(tmp_path, "ort-int8", "ort-fp32")
    evaluate(tmp_path / "ort-int8", top1=None, agreement=0.80)
    assert ranked(tmp_path) == ["ort-fp32", "ort-int8"]
    evaluate(tmp_path / "ort-int8", top1=None, agreement=0.97)
    assert ranked(tmp_path) == ["ort-int8", "ort-fp32"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"top1": "high"}', '{"top1": 0.1}'])
def test_an_evaluation_that_says_nothing_of_this_engine_is_not_heard(
    tmp_path: Path, text: str
) -> None:
    artifacts(tmp_path, "ort-int8", "ort-fp32")
    evaluate(tmp_path / "ort-fp32", top1=0.9)
    (tmp_path / "ort-int8" / "eval.json").write_text(text)
    assert ranked(tmp_path) == ["ort-int8", "ort-fp32"]


def test_several_models_are_refused_by_name(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a" / "ort-fp32", model="a")
    write_artifact(tmp_path / "b" / "ort-fp32", model="b")
    with pytest.raises(
        UsageError, match=r"holds artifacts of 2 models: a, b(?s:.*)pass the folder"
    ):
        choosing.find(str(tmp_path))


def test_one_model_is_found_in_the_tree_that_build_makes(tmp_path: Path) -> None:
    artifacts(tmp_path / "m", "ort-fp32", "ort-fp16")
    for root in (tmp_path, tmp_path / "m"):
        assert len(choosing.find(str(root))[0]) == 2
    found, _ = choosing.find(str(tmp_path / "m" / "ort-fp32"))
    assert [candidate.name for candidate in found] == ["ort-fp32"]


def test_what_a_killed_build_left_is_not_an_artifact(tmp_path: Path) -> None:
    artifacts(tmp_path, "ort-fp32")
    write_artifact(tmp_path / ".ort-fp32.abc")
    assert len(choosing.find(str(tmp_path))[0]) == 1


def test_a_folder_without_artifacts_is_refused(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ArtifactError, match=r"holds no artifact(?s:.*)edgedeploy build"):
            choosing.find(str(root))


def test_folders_that_are_too_deep_are_not_searched(tmp_path: Path) -> None:
    write_artifact(tmp_path / "1" / "2" / "3")
    with pytest.raises(ArtifactError, match="holds no artifact"):
        choosing.find(str(tmp_path))
    assert choosing.find(str(tmp_path / "1"))[0]


def test_a_damaged_artifact_alone_is_an_error_with_its_reason(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "ort-fp32")
    (folder / "manifest.json").write_text("{")
    for root in (tmp_path, folder):
        with pytest.raises(ArtifactError, match=r"manifest.json is damaged"):
            choosing.find(str(root))


def test_unknown_names_come_with_the_known_ones(tmp_path: Path) -> None:
    artifacts(tmp_path, "ort-fp32")
    found, _ = choosing.find(str(tmp_path))
    with pytest.raises(UnknownNameError, match=r"no backend is called 'tensor'"):
        choosing.select(found, "tensor", None)
    with pytest.raises(UnknownNameError, match=r"no precision is called 'int4'(?s:.*)'int8'"):
        choosing.select(found, None, "int4")


def test_what_is_not_there_comes_with_what_is_and_the_command(tmp_path: Path) -> None:
    artifacts(tmp_path, "ort-fp32", "openvino-int8")
    found, _ = choosing.find(str(tmp_path))
    with pytest.raises(
        UsageError,
        match=r"ort int8 was asked for, small has: openvino-int8, ort-fp32(?s:.*)"
        r"edgedeploy build small.onnx --backend ort --int8",
    ):
        choosing.select(found, "ort", "int8")


# --- physical cores -------------------------------------------------------------------------------


def topology(root: Path, siblings: dict[int, str]) -> str:
    for number, text in siblings.items():
        folder = root / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(text + "\n")
    return str(root)


def test_hyper_threads_count_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = topology(tmp_path, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"})
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    assert cpu.physical_cores(root) == 2


def test_cores_that_the_process_may_not_use_do_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = topology(tmp_path, {0: "0", 1: "1", 2: "2", 3: "3"})
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {1, 3})
    assert cpu.physical_cores(root) == 2


def test_without_topology_every_processor_is_a_core(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
    assert cpu.physical_cores(str(tmp_path)) == 3


def test_without_linux_the_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert cpu.physical_cores() == 1
