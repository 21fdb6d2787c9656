from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from edgedeploy.runtime import trt_progress
from tests.runtime import fake_config, fake_trt

STEPS = [
    ("Building engine", 0, 1),
    ("Timing tactics", 0, 2),
    ("Timing tactics", 1, 2),
    ("Timing tactics", 2, 2),
    ("Building engine", 1, 1),
]


def ctrl_c() -> None:
    """Call what Ctrl-C calls; `test_trt` of the backends sends the signal itself, to a process."""
    handler = signal.getsignal(signal.SIGINT)
    assert callable(handler)
    handler(signal.SIGINT, None)


def build(trt: Any, progress: Any = None) -> bytes | None:
    """Build inside `watched`, as `build_engine` does."""
    builder = trt.Builder(SilentLogger())
    config = builder.create_builder_config()
    with trt_progress.watched(trt, config, progress):
        plan: bytes | None = builder.build_serialized_network(None, config)
    if fake_config.has(trt.generation, "IBuilderConfig.progress_monitor"):
        assert config.progress_monitor is None  # it does not outlive the build
    return plan


class SilentLogger:
    def log(self, severity: Any, text: str) -> None:
        pass


@pytest.mark.parametrize("generation", ["10.3.0", "10.13.0", "11.1.0"])
def test_phases_and_steps_are_passed_on(generation: str) -> None:
    told: list[tuple[str, int, int]] = []
    assert build(fake_trt.Library(generation), lambda *step: told.append(step)) == b"plan"
    assert told == STEPS


def test_nobody_has_to_listen() -> None:
    assert build(fake_trt.Library("10.3.0")) == b"plan"


@pytest.mark.parametrize("generation", ["8.2.1", "8.6.1"])
def test_where_there_is_no_monitor_nothing_is_told(generation: str) -> None:
    told: list[Any] = []
    assert build(fake_trt.Library(generation), lambda *step: told.append(step)) == b"plan"
    assert told == []


def test_ctrl_c_cancels_the_build_at_its_next_step_and_is_raised_afterwards() -> None:
    told: list[tuple[str, int, int]] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        build(fake_trt.Library("10.3.0", during=ctrl_c), lambda *step: told.append(step))
    assert told == STEPS[:3]  # the first step that was completed was the last
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_of_ctrl_c_is_put_back_after_a_build_and_after_a_crash() -> None:
    before = signal.getsignal(signal.SIGINT)
    build(fake_trt.Library("10.3.0"))
    assert signal.getsignal(signal.SIGINT) is before

    def crash() -> None:
        raise RuntimeError("in TensorRT")

    with pytest.raises(RuntimeError, match="in TensorRT"):
        build(fake_trt.Library("10.3.0", during=crash))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_build_on_another_thread_leaves_ctrl_c_alone() -> None:
    plans: list[Any] = []
    trt = fake_trt.Library("10.3.0")
    thread = threading.Thread(target=lambda: plans.append(build(trt)))
    thread.start()
    thread.join()
    assert plans == [b"plan"]
