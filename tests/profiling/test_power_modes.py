"""Power modes from the host: they are set, and the first one always comes back."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import EdgeDeployError, MeasurementError, UnsupportedError, UsageError
from edgedeploy.meters.power_modes import PowerMode
from edgedeploy.profiling import power_modes, remote, ssh
from edgedeploy.profiling.power_modes import Change, Guard
from tests import fake_board, fake_nvpmodel, sshd
from tests.profiling.documents import record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_nvpmodel import FakeModes

MODES = [PowerMode(number, name) for number, name in fake_nvpmodel.ORIN_NANO.items()]
USUAL, STRONG, SUPER, WEAK = MODES


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeModes:
    made = fake_nvpmodel.install(tmp_path / "fake", fake_nvpmodel.ORIN_NANO, mode=1)
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    if os.geteuid() != 0:
        fake_nvpmodel.install_sudo(made)
    return made


def test_a_sweep_ends_in_the_mode_that_it_began_in(fake: FakeModes) -> None:
    with Guard(None) as guard:
        assert guard.modes == tuple(MODES)
        assert guard.first == STRONG
        assert guard.set(STRONG) == Change(STRONG, None, settled=True)
        assert guard.set(WEAK) == Change(WEAK, STRONG, settled=True)
        guard.require(WEAK)
        assert fake.mode == 3
        guard.end()
        assert fake.mode == 1
        fake.has("mode", "0")
    assert fake.mode == 0  # the end comes once
    assert fake.changes == [3, 1]


def test_a_mode_that_takes_a_restart_is_left_out_and_the_board_stays_on(fake: FakeModes) -> None:
    fake.has("restarts", "2")
    with Guard(None) as guard:
        with pytest.raises(UnsupportedError, match="MAXN_SUPER takes a restart"):
            guard.set(SUPER)
        guard.set(WEAK)
    assert fake.mode == 1
    assert not (fake.board / "restarted").exists()


def test_an_error_in_between_puts_the_mode_back(fake: FakeModes) -> None:
    with pytest.raises(ValueError, match="mine"), Guard(None) as guard:  # noqa: PT012 -- the block is what ends
        guard.set(WEAK)
        raise ValueError("mine")
    assert fake.mode == 1


def test_ctrl_c_while_a_mode_is_set_puts_the_first_one_back(fake: FakeModes) -> None:
    fake.has("slow")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), Guard(None) as guard:  # noqa: PT012 -- the block is what ends
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        guard.set(WEAK)
    signal.signal(signal.SIGALRM, before)
    assert fake.changes == [3, 1]
    assert fake.mode == 1


def test_a_mode_that_something_else_sets_is_noticed(fake: FakeModes) -> None:
    with Guard(None) as guard:
        guard.set(WEAK)
        fake.has("mode", "0")
        with pytest.raises(MeasurementError, match=r"is 15W after a profile.*in 7W"):
            guard.require(WEAK)
    assert fake.mode == 1


def test_the_mode_comes_back_though_the_guardian_was_killed(fake: FakeModes) -> None:
    with Guard(None) as guard:
        guard.set(WEAK)
        os.kill(guard._guardian._process.pid, signal.SIGKILL)
    assert fake.mode == 1


def test_a_mode_that_does_not_come_back_names_the_command_and_what_came_before(
    fake: FakeModes,
) -> None:
    with pytest.raises(EdgeDeployError, match=r"not 25W again.*before that: mine") as caught:  # noqa: SIM117, PT012 -- the order counts
        with Guard(None) as guard:
            guard.set(WEAK)
            fake.has("fails", "1")
            raise UsageError("mine", fix="none")
    assert caught.value.fix.startswith("type: sudo nvpmodel -m 1")
    assert caught.value.exit_code == 1


def test_a_machine_without_power_modes_says_so() -> None:
    with pytest.raises(UnsupportedError, match="no nvpmodel"):
        Guard(None)


def test_locked_clocks_that_a_change_unlocks_are_told(
    fake: FakeModes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), Guard(None) as guard:
        guard._locked = True
        guard.set(WEAK)
        guard.set(SUPER)
    during, after = [record.getMessage() for record in caplog.records]
    assert "which a change of the power mode undoes" in during
    assert after.endswith("not locked any more: sudo jetson_clocks")


@pytest.fixture
def afar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeModes:
    """A board behind ssh that has power modes."""
    board = fake_board.make(tmp_path, monkeypatch)
    made = fake_nvpmodel.install(tmp_path / "fake", fake_nvpmodel.ORIN_NANO, mode=1)
    for program in made.bin.iterdir():
        program.rename(board.bin / program.name)
    return made


@pytest.mark.skipif(os.geteuid() != 0, reason="the fake board has no sudo")
def test_a_board_behind_ssh_ends_in_the_mode_that_it_began_in(afar: FakeModes) -> None:
    with remote.connected("me@board", sys.executable) as board:
        with Guard(board) as guard:
            guard.set(WEAK)
            assert afar.mode == 3
        assert afar.mode == 1
        assert guard.reachable


def test_a_dropped_line_puts_the_mode_back_there_and_the_error_says_where_to_look(
    fake: FakeModes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nPATH={fake.bin}:$PATH exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    folder = tmp_path / "sshd"
    folder.mkdir()
    with sshd.running(folder) as server:
        monkeypatch.setenv(ssh.PROGRAM, server.command)
        with pytest.raises(EdgeDeployError, match="board was lost before it was") as caught:  # noqa: SIM117, PT012 -- the order counts
            with remote.connected("board", str(python)) as board, Guard(board) as guard:
                guard.set(WEAK)
                fake.has("slow")
                for session in server.sessions():
                    os.kill(session, signal.SIGKILL)
                board._hold.connection.wait()
                raise UsageError("mine", fix="none")
        assert caught.value.problem.endswith("sets by itself; before that: mine")
        assert "look: ssh -t board sudo nvpmodel -q" in caught.value.fix
        assert "sudo nvpmodel -m 1" in caught.value.fix
        assert fake_board.wait_until(lambda: fake.mode == 1)
        assert server.wait_until_clean()
    assert fake.changes == [3, 1]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="the fake board has no sudo")
def test_the_board_is_held_until_its_mode_is_back(afar: FakeModes, tmp_path: Path) -> None:
    with remote.connected("me@board", sys.executable) as board:
        guard = Guard(board)
        guard.set(WEAK)
        afar.has("slow")
    assert afar.mode == 1  # the guardian was not told to end, its holder did
    assert not (tmp_path / "lock").is_symlink()
    guard.end()


def test_a_board_without_power_modes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_board.make(tmp_path, monkeypatch)
    refused = pytest.raises(UnsupportedError, match="on me@board: this machine has no nvpmodel")
    with remote.connected("me@board", sys.executable) as board, refused:
        Guard(board)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (["all"], MODES),
        (["7w"], [WEAK]),
        (["2"], [SUPER]),
        (["7W,0", "maxn_super", "3"], [WEAK, USUAL, SUPER]),
        (["3", "all"], [WEAK, USUAL, STRONG, SUPER]),
    ],
)
def test_modes_are_chosen_by_name_number_or_all(asked: list[str], wanted: list[PowerMode]) -> None:
    assert power_modes.choose(asked, MODES) == wanted


def test_an_unknown_mode_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="no power mode 'MAXN'") as caught:
        power_modes.choose(["7W,MAXN"], MODES)
    assert "15W (0), 25W (1), MAXN_SUPER (2), 7W (3), or all" in caught.value.fix
    with pytest.raises(UsageError, match="--power-mode is empty"):
        power_modes.choose([","], MODES)


def test_a_record_says_its_mode_and_the_change(tmp_path: Path) -> None:
    plain = record(tmp_path / "artifact")
    changed = power_modes.stamp(plain, Change(WEAK, STRONG, settled=True))
    assert changed.document["device"]["power_mode"] == "7W"
    assert changed.document["power_mode_change"] == {"from": "25W", "to": "7W"}
    assert changed.level == plain.level
    as_it_was = power_modes.stamp(plain, Change(STRONG, None, settled=True))
    assert as_it_was.document["device"]["power_mode"] == "25W"
    assert "power_mode_change" not in as_it_was.document


def test_a_record_whose_clocks_had_not_settled_is_suspect(tmp_path: Path) -> None:
    changed = power_modes.stamp(record(tmp_path / "artifact"), Change(WEAK, STRONG, settled=False))
    assert changed.level == "suspect"
    assert "had not settled 10 s after the power mode" in changed.reasons[-1]
