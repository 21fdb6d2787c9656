"""The guardian of the power mode: it sets what it is told, and always goes back."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import EdgeDeployError, UsageError
from edgedeploy.meters.power_modes import Nvpmodel, PowerMode
from edgedeploy.worker import jobs, power_modes
from edgedeploy.worker.channel import Channel
from edgedeploy.worker.power_modes import NotRestoredError, Switch
from tests import fake_nvpmodel
from tests.fake_trees import plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fake_nvpmodel import FakeModes

SUPER, WEAK = PowerMode(2, "MAXN_SUPER"), PowerMode(3, "7W")
CPU = "sys/devices/system/cpu/cpu0/cpufreq"
CLOCK: dict[str, str | bytes | int] = {
    f"{CPU}/scaling_governor": "schedutil",
    f"{CPU}/scaling_min_freq": 102000,
    f"{CPU}/scaling_max_freq": 1479000,
    f"{CPU}/scaling_cur_freq": 918000,
}


@pytest.fixture
def fake(tmp_path: Path) -> FakeModes:
    return fake_nvpmodel.install(tmp_path / "fake", fake_nvpmodel.ORIN_NANO, mode=1)


@pytest.fixture
def line() -> Iterator[tuple[int, int]]:
    """Read and write end of the host's line; a test may close the latter."""
    ends = os.pipe()
    yield ends
    os.close(ends[0])


def switch(fake: FakeModes) -> Switch:
    return Switch(Nvpmodel(path=str(fake.bin), user=0))


def guard(
    fake: FakeModes, stdin: int, root: Path, job: jobs.PowerModeJob | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what a guardian ends with, and what it says before."""
    out = io.StringIO()
    result = power_modes.guard(
        job or jobs.PowerModeJob(),
        Channel(out),
        lambda: Nvpmodel(path=str(fake.bin), user=0),
        stdin,
        str(root),
    )
    return result, [json.loads(line) for line in out.getvalue().splitlines()]


def say(end: int, *orders: object) -> None:
    for order in orders:
        os.write(end, json.dumps(order).encode() + b"\n")


def test_the_first_mode_is_set_again(fake: FakeModes) -> None:
    found = switch(fake)
    assert found.to(SUPER) == PowerMode(1, "25W")
    assert found.to(WEAK) == SUPER
    found.restore()
    assert fake.mode == 1
    assert fake.changes == [2, 3, 1]


def test_a_first_mode_that_is_asked_for_last_is_set_once(fake: FakeModes) -> None:
    found = switch(fake)
    found.to(WEAK)
    found.to(found.first)
    found.restore()
    assert fake.changes == [3, 1]


def test_a_mode_that_the_board_is_in_is_not_set_and_nothing_is_put_back(fake: FakeModes) -> None:
    found = switch(fake)
    assert found.to(found.first) is None
    found.restore()
    assert fake.changes == []


def test_a_mode_that_takes_a_restart_leaves_nothing_to_put_back(fake: FakeModes) -> None:
    fake.has("restarts", "3")
    found = switch(fake)
    with pytest.raises(EdgeDeployError, match="takes a restart"):
        found.to(WEAK)
    found.restore()
    assert fake.changes == [3]


def test_after_a_restart_refused_in_another_mode_the_first_is_set_again(fake: FakeModes) -> None:
    fake.has("restarts", "3")
    found = switch(fake)
    found.to(SUPER)
    with pytest.raises(EdgeDeployError, match="takes a restart"):
        found.to(WEAK)
    found.restore()
    assert fake.mode == 1


def test_a_change_that_fails_half_way_is_undone_at_once(fake: FakeModes) -> None:
    fake.has("fails", "3")
    with pytest.raises(EdgeDeployError, match="failed to set power mode"):
        switch(fake).to(WEAK)
    assert fake.changes == [3, 1]


def test_a_first_mode_that_cannot_be_set_names_the_command_to_type(fake: FakeModes) -> None:
    found = switch(fake)
    found.to(WEAK)
    fake.has("fails", "1")
    with pytest.raises(NotRestoredError, match="could not be put back to 25W") as caught:
        found.restore()
    assert "sudo nvpmodel -m 1" in caught.value.fix
    assert fake.changes == [3, 1, 1]
    fake.hears_no_more("fails")
    found.restore()
    assert fake.mode == 1


def test_the_end_of_stdin_puts_the_mode_back(
    fake: FakeModes, line: tuple[int, int], tmp_path: Path
) -> None:
    say(line[1], {"set": 3}, {"query": True})
    os.close(line[1])
    result, said = guard(fake, line[0], tmp_path)
    assert said[0] == {
        "event": "modes",
        "modes": [[0, "15W"], [1, "25W"], [2, "MAXN_SUPER"], [3, "7W"]],
        "first": [1, "25W"],
        "locked": None,
    }
    assert result == {"mode": [1, "25W"], "locked": None}
    assert fake.mode == 1


def test_orders_are_answered(fake: FakeModes, line: tuple[int, int], tmp_path: Path) -> None:
    fake.has("restarts", "2")
    said: list[dict[str, Any]] = []

    class Host(io.StringIO):
        def write(self, text: str, /) -> int:
            said.append(json.loads(text))
            orders: list[Any] = [{"set": 3}, {"query": True}, {"set": 2}, {"set": 9}, {"set": 3}]
            if len(said) <= len(orders):
                say(line[1], orders[len(said) - 1])
            else:
                os.close(line[1])
            return len(text)

    power_modes.guard(
        jobs.PowerModeJob(),
        Channel(Host()),
        lambda: Nvpmodel(path=str(fake.bin), user=0),
        line[0],
        str(tmp_path),
    )
    assert [one["event"] for one in said] == ["modes", "set", "mode", "refused", "refused", "set"]
    assert said[1] == {"event": "set", "before": [1, "25W"], "settled": True}
    assert said[2]["mode"] == [3, "7W"]
    assert "takes a restart" in said[3]["problem"]
    assert said[3]["exit_code"] == 4
    assert "there is no power mode 9" in said[4]["problem"]
    assert said[5] == {"event": "set", "before": None, "settled": True}
    assert fake.changes == [3, 2, 1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_puts_the_mode_back(
    fake: FakeModes, line: tuple[int, int], tmp_path: Path, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    say(line[1], {"set": 3})

    class Host(io.StringIO):
        def write(self, text: str, /) -> int:
            if json.loads(text)["event"] == "set":
                signal.raise_signal(number)
            return len(text)

    power_modes.guard(
        jobs.PowerModeJob(),
        Channel(Host()),
        lambda: Nvpmodel(path=str(fake.bin), user=0),
        line[0],
        str(tmp_path),
    )
    assert fake.changes == [3, 1]
    assert signal.getsignal(number) is before
    os.close(line[1])


def test_a_host_that_hears_no_more_is_gone(
    fake: FakeModes, line: tuple[int, int], tmp_path: Path
) -> None:
    say(line[1], {"set": 3})

    class Gone(io.StringIO):
        def write(self, text: str, /) -> int:
            if json.loads(text)["event"] == "set":
                raise BrokenPipeError
            return len(text)

    power_modes.guard(
        jobs.PowerModeJob(),
        Channel(Gone()),
        lambda: Nvpmodel(path=str(fake.bin), user=0),
        line[0],
        str(tmp_path),
    )
    assert fake.mode == 1
    os.close(line[1])


def test_a_second_guardian_goes_back_for_the_first(
    fake: FakeModes, line: tuple[int, int], tmp_path: Path
) -> None:
    result, said = guard(fake, line[0], tmp_path, jobs.PowerModeJob(restore=3))
    assert fake.mode == 3
    assert result["mode"] == [3, "7W"]
    assert said == []
    with pytest.raises(UsageError, match="no power mode 9"):
        guard(fake, line[0], tmp_path, jobs.PowerModeJob(restore=9))
    os.close(line[1])


def test_what_cannot_be_put_back_after_a_failure_ends_the_guardian(
    fake: FakeModes, line: tuple[int, int], tmp_path: Path
) -> None:
    fake.has("fails", "3 1")
    say(line[1], {"set": 3})
    with pytest.raises(NotRestoredError, match="could not be put back"):
        guard(fake, line[0], tmp_path)
    os.close(line[1])


def test_clocks_settle_when_their_limits_stay(tmp_path: Path) -> None:
    looks = []

    def wait(seconds: float) -> bool:
        looks.append(seconds)
        plant(tmp_path, {f"{CPU}/scaling_max_freq": 1479000 if len(looks) < 3 else 960000})
        return False

    plant(tmp_path, CLOCK)
    assert power_modes.settle(str(tmp_path), wait)
    assert len(looks) == 2 + 1 + 5


def test_a_clock_above_its_limit_has_not_settled(tmp_path: Path) -> None:
    plant(tmp_path, {**CLOCK, f"{CPU}/scaling_cur_freq": 1900000})
    looks: list[float] = []

    def wait(seconds: float) -> bool:
        looks.append(seconds)
        return False

    assert not power_modes.settle(str(tmp_path), wait)
    assert sum(looks) == pytest.approx(10)


def test_settling_ends_when_the_host_is_gone(tmp_path: Path) -> None:
    plant(tmp_path, CLOCK)
    assert not power_modes.settle(str(tmp_path), lambda _: True)


def test_whether_the_clocks_are_locked_is_told(
    fake: FakeModes, line: tuple[int, int], tmp_path: Path
) -> None:
    plant(tmp_path, {**CLOCK, f"{CPU}/scaling_min_freq": 1479000})
    os.close(line[1])
    result, said = guard(fake, line[0], tmp_path)
    assert said[0]["locked"] is True
    assert result["locked"] is True


def test_the_job_is_read() -> None:
    assert jobs.parse('{"job": "power_mode"}').job == jobs.PowerModeJob()
    assert jobs.parse('{"job": "power_mode", "restore": 2}').job == jobs.PowerModeJob(2)


def test_a_line_that_comes_in_parts_is_one(line: tuple[int, int]) -> None:
    threading.Timer(0.02, lambda: os.write(line[1], b': 3}\n{"set"')).start()
    os.write(line[1], b'{"set"')
    with power_modes._Ears(line[0]) as ears:
        assert ears.line() == b'{"set": 3}'
        os.close(line[1])
        assert ears.line() is None
