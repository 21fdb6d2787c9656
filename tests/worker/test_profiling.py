from __future__ import annotations

import io
import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedeploy.errors import ArtifactError, UnsupportedError, UsageError
from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime.session import LayerTime, LayerTimes
from edgedeploy.worker import profiling
from edgedeploy.worker.channel import Channel
from edgedeploy.worker.jobs import ProfileJob
from edgedeploy.worker.samples import decode
from edgedeploy.worker.timing import WarmUp
from tests.artifacts import SIDE, write_artifact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.types import Array

QUICK = WarmUp(min_s=0, max_s=0.05, window_s=0.001)


class FakeRuntime:
    """A runtime whose bound call and whose infer take times that differ."""

    def __init__(self, folder: str) -> None:
        self.info: dict[str, Any] = {
            "library": "fake 1", "device": "CPU", "threads": 2, "engine": {},
        }  # fmt: skip
        self.stages: dict[str, list[float]] | None = None
        self.manifest = manifests.read(folder)
        self.closed = False

    def __enter__(self) -> FakeRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def bind(self, batch: Array) -> Callable[[], None]:
        assert batch.dtype == np.float32
        return lambda: time.sleep(0.0001)

    def infer(self, batch: Array) -> None:
        assert batch.shape[1:] == (3, SIDE, SIDE)
        time.sleep(0.001)

    def classify(self, frame: Array, top: int) -> None:
        assert frame.dtype == np.uint8
        assert (frame.shape, top) == ((480, 640, 3), 5)
        time.sleep(0.0001)

    def stage_times(self, batch: Array, runs: int) -> dict[str, list[float]] | None:
        assert batch.shape[1:] == (3, SIDE, SIDE)
        return self.stages and {name: times * runs for name, times in self.stages.items()}


def profile(
    job: ProfileJob, **changes: Any
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    out = io.StringIO()
    loaded: dict[str, Any] = {}

    def load(path: str, **options: Any) -> FakeRuntime:
        runtime = FakeRuntime(path)
        vars(runtime).update(changes)
        loaded.update(options, runtime=runtime, count=loaded.get("count", 0) + 1)
        return runtime

    result = profiling.profile(job, Channel(out), load=load)
    return result, [json.loads(line) for line in out.getvalue().splitlines()], loaded


def test_a_result_holds_raw_samples_and_is_json(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a")
    result, events, loaded = profile(
        ProfileJob(str(folder), threads=3, duration_s=0.02, min_runs=12, warm_up=QUICK)
    )
    json.dumps(result, allow_nan=False)
    ns = decode(result["samples"])
    assert len(ns) == result["count"] >= 12
    assert min(ns) >= 100_000
    assert result["window_ns"] >= max(sum(ns), 20_000_000)
    assert [event["phase"] for event in events if event["event"] == "phase"] == [
        "import",
        "load",
        "first inference",
        "warm-up",
        "timing",
        "overhead",
        "stages",
    ]
    assert loaded["threads"] == 3
    assert loaded["runtime"].closed


def test_the_overhead_is_measured_in_pairs_of_the_bound_call_and_infer(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a")
    result, _, _ = profile(ProfileJob(str(folder), duration_s=0, min_runs=1, warm_up=QUICK))
    bound, infer = (np.array(decode(result["overhead"][key])) for key in ("bound", "infer"))
    assert len(bound) == len(infer) >= 20
    assert 500_000 < np.median(infer - bound) < 3_000_000


QUICKEST: dict[str, Any] = {"duration_s": 0, "min_runs": 1, "warm_up": QUICK}


def test_stages_are_timed_where_the_backend_can_tell_them(tmp_path: Path) -> None:
    job = ProfileJob(str(write_artifact(tmp_path / "a")), **QUICKEST)
    result, _, _ = profile(job, stages={"h2d": [0.5], "compute": [2.0]})
    assert result["stages_ms"] == {"h2d": [0.5] * 100, "compute": [2.0] * 100}
    assert result["stages_reason"] is None


def test_stages_that_are_not_timed_have_a_reason(tmp_path: Path) -> None:
    folder = str(write_artifact(tmp_path / "a"))
    result, _, _ = profile(ProfileJob(folder, **QUICKEST))
    assert result["stages_ms"] is None
    assert result["stages_reason"] == "this backend does not tell them apart"
    whole = profiling._stages(
        SimpleNamespace(info={"engine": {"largest_batch": 8}}),  # type: ignore[arg-type]
        np.zeros((9, 3, SIDE, SIDE), np.float32),
    )
    assert whole == {"stages_ms": None, "stages_reason": "9 images go in several calls of 8"}


SCENARIOS: dict[str, dict[str, Any]] = {
    "single": {},
    "multi": {"streams": 2},
    "offline": {"batches": (1, 2)},
    "server": {"rate": 2000.0, "streams": 2},
    "camera": {"fps": 5000.0},
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_hands_over_what_it_saw(tmp_path: Path, scenario: str) -> None:
    folder = write_artifact(tmp_path / "a")
    job = ProfileJob(
        str(folder),
        scenario=scenario,
        duration_s=0.02,
        min_runs=8,
        warm_up=QUICK,
        **SCENARIOS[scenario],
    )
    result, _, loaded = profile(job)
    json.dumps(result, allow_nan=False)
    ns = decode(result["samples"])
    assert len(ns) == result["count"] >= 8
    assert result["window_ns"] >= max(ns)
    assert {name: len(decode(text)) for name, text in result["series"].items()} == (
        {}
        if scenario in {"single", "offline"}
        else dict.fromkeys(("due", "start", "stream"), len(ns))
    )
    assert [step["batch"] for step in result["steps"]] == ([1, 2] if scenario == "offline" else [])
    assert loaded["count"] == job.streams


def test_memory_is_taken_at_each_phase(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a")
    result, _, _ = profile(ProfileJob(str(folder), duration_s=0, min_runs=1, warm_up=QUICK))
    assert list(result["memory"]) == ["start", "import", "load", "first_inference", "steady"]
    assert result["memory"]["steady"]["peak_rss_bytes"] >= result["memory"]["start"]["rss_bytes"]
    assert result["device_memory"]["reason"] == "the engine runs on the CPU: its memory is in rss"


def test_random_pictures_fill_the_normalised_range_and_depend_on_the_seed(tmp_path: Path) -> None:
    known = manifests.read(str(write_artifact(tmp_path / "a")))
    batch = profiling.random_batch(known, None, 2, seed=1)
    assert batch.shape == (2, 3, SIDE, SIDE)
    assert batch.dtype == np.float32
    assert 0 <= batch.min() < 0.05
    assert 0.95 < batch.max() <= 1  # the small model divides by 255
    assert np.array_equal(batch, profiling.random_batch(known, None, 2, seed=1))
    assert not np.array_equal(batch, profiling.random_batch(known, None, 2, seed=2))


def test_random_pictures_lie_in_minus_one_to_one_when_nobody_said_how(tmp_path: Path) -> None:
    known = manifests.read(str(write_artifact(tmp_path / "a", preprocessing=None)))
    batch = profiling.random_batch(known, None, 1, seed=0)
    assert -1 <= batch.min() < -0.95
    assert 0.95 < batch.max() <= 1
    assert batch.flags.c_contiguous


def any_size(folder: Path) -> Path:
    inputs = [{"name": "image", "shape": [None, 3, None, None], "dtype": "float32"}]
    return write_artifact(folder, inputs=inputs)


def test_an_artifact_of_any_size_needs_one_to_be_measured_at(tmp_path: Path) -> None:
    known = manifests.read(str(any_size(tmp_path / "a")))
    assert profiling.random_batch(known, (16, 24), 1, 0).shape == (1, 3, 16, 24)
    with pytest.raises(UsageError, match="takes any size") as caught:
        profiling.random_batch(known, None, 1, 0)
    assert "--resolution" in caught.value.fix


def test_another_size_than_the_artifacts_is_refused_with_both(tmp_path: Path) -> None:
    known = manifests.read(str(write_artifact(tmp_path / "a")))
    with pytest.raises(UsageError, match=r"\(16, 16\) was asked for.*takes \(8, 8\)"):
        profiling.random_batch(known, (16, 16), 1, 0)


def test_another_board_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="jetson-tk1 was asked for"):
        profile(ProfileJob(str(tmp_path / "missing"), board="jetson-tk1"))


def test_a_folder_that_is_no_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is no artifact"):
        profile(ProfileJob(str(tmp_path)))


def test_layers_are_timed_last_and_only_when_asked_for(tmp_path: Path) -> None:
    folder = str(write_artifact(tmp_path / "a"))
    job = ProfileJob(folder, duration_s=0.0, min_runs=2, warm_up=QUICK, layers=True)
    told = LayerTimes([LayerTime("conv1", "Conv", 0.5)])
    result, events, _ = profile(job, layer_times=lambda _batch, _runs: told)
    assert result["layers"] == [{"name": "conv1", "kind": "Conv", "ms": 0.5}]
    assert (result["layers_reason"], result["layers_runs"]) == (None, 100)
    assert [event["phase"] for event in events if "phase" in event][-1] == "layers"
    unasked, *_ = profile(job._replace(layers=False))
    assert "layers" not in unasked
