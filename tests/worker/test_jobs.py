from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.errors import UnsupportedError, UsageError
from edgedeploy.worker import jobs
from edgedeploy.worker.jobs import ProbeJob, ProfileJob
from edgedeploy.worker.timing import WarmUp


def line(**values: Any) -> str:
    return json.dumps({"job": "profile", "artifact": "build/m/ort-fp32", **values})


def test_a_job_without_wishes_has_the_defaults() -> None:
    assert jobs.parse(line()).job == ProfileJob("build/m/ort-fp32")
    assert not jobs.parse(line()).watch_stdin


def test_every_wish_arrives() -> None:
    order = jobs.parse(
        line(
            threads=2,
            device="CPU",
            board="jetson-nano",
            side=[128, 160],
            batch=4,
            duration_s=1,
            min_runs=10,
            seed=3,
            warm_up={"max_s": 2.5},
            watch_stdin=True,
        )
    )
    assert order.job == ProfileJob(
        artifact="build/m/ort-fp32",
        threads=2,
        device="CPU",
        board="jetson-nano",
        side=(128, 160),
        batch=4,
        duration_s=1,
        min_runs=10,
        seed=3,
        warm_up=WarmUp(max_s=2.5),
    )
    assert order.watch_stdin


def test_a_probe_is_a_job_of_its_own() -> None:
    assert jobs.parse('{"job": "probe"}').job == ProbeJob()
    asked = jobs.parse('{"job": "probe", "libraries": ["openvino"]}').job
    assert asked == ProbeJob(libraries=("openvino",))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"job": "burn"}',
        '{"job": ["profile"]}',
        '{"job": "profile"}',
        '{"job": "probe", "artifact": "x"}',
        '{"job": "probe", "libraries": "openvino"}',
        '{"job": "probe", "libraries": [1]}',
        line(speed=3),
        line(artifact=7),
        line(threads=0),
        line(threads=True),
        line(threads="2"),
        line(duration_s=-1),
        line(duration_s=float("nan")),
        line(min_runs=0),
        line(min_runs=2.5),
        line(batch=0),
        line(seed=-1),
        line(side=[224]),
        line(side=[0, 224]),
        line(side=["a", "b"]),
        line(streams=2),
        line(fps=30),
        line(rate=30),
        line(batches=[1]),
        line(scenario="server"),
        line(scenario="server", rate=0),
        line(scenario="server", rate=float("nan")),
        line(scenario="server", rate="fast"),
        line(scenario="server", rate=1000, duration_s=80000),
        line(scenario="camera"),
        line(scenario="camera", fps=30, streams=2),
        line(scenario="multi", streams=0),
        line(scenario="multi", streams=65),
        line(scenario="offline", batches=[0]),
        line(scenario="offline", batches=["a"]),
        line(scenario="offline", batches=2),
        line(warm_up={"window_runs": 0}),
        line(warm_up={"min_s": 3, "max_s": 2}),
        line(warm_up={"patience": 2}),
        line(warm_up=[]),
        line(warm_up={"tolerance": "much"}),
        "[" * 100_000,
    ],
)
def test_a_job_that_makes_no_sense_is_a_usage_error_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="the job on stdin cannot be read") as caught:
        jobs.parse(text)
    assert '{"job": "profile"' in caught.value.fix


def test_a_scenario_of_another_version_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match=r"burst.*this version measures single, multi, "):
        jobs.parse(line(scenario="burst"))


@pytest.mark.parametrize(
    "wishes",
    [
        {"scenario": "multi", "streams": 3},
        {"scenario": "offline", "batches": [1, 8]},
        {"scenario": "server", "streams": 2, "rate": 12.5},
        {"scenario": "camera", "fps": 30},
    ],
)
def test_the_wishes_of_a_scenario_arrive(wishes: dict[str, Any]) -> None:
    job = jobs.parse(line(**wishes)).job
    assert isinstance(job, ProfileJob)
    for key, value in wishes.items():
        assert getattr(job, key) == (tuple(value) if isinstance(value, list) else value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([*jobs._TYPES, "job", "watch_stdin"]),
)
def test_any_value_at_any_place_is_read_or_refused_by_name(value: Any, key: str) -> None:
    document = {"job": "profile", "artifact": "a", key: value}
    with contextlib.suppress(UsageError, UnsupportedError):
        assert jobs.parse(json.dumps(document)) is not None
