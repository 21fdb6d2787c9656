"""profile --power-mode, on a machine whose power modes are a script's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.cli import app
from tests import fake_board, fake_nvpmodel
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_nvpmodel import FakeModes

QUICK = ("--duration", "0.05", "--threads", "1")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeModes:
    made = fake_nvpmodel.install(tmp_path / "fake", fake_nvpmodel.ORIN_NANO, mode=1)
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    if os.geteuid() != 0:
        fake_nvpmodel.install_sudo(made)
    write_artifact(tmp_path / "artifact")
    return made


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any], str]:
    code = app.run(["profile", "artifact", *QUICK, *argv, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def test_an_artifact_is_measured_in_every_mode_and_the_first_is_set_again(
    fake: FakeModes, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.has("restarts", "2")
    code, found, err = run(capsys, "--power-mode", "7W,maxn_super", "--power-mode", "1")
    assert code == 0
    assert fake.mode == 1
    assert fake.changes == [3, 2, 1]
    modes = [
        (one["device"]["power_mode"], one.get("power_mode_change")) for one in found["profiles"]
    ]
    assert modes == [
        ("7W", {"from": "25W", "to": "7W"}),
        ("25W", {"from": "7W", "to": "25W"}),
    ]
    told = found["power_modes"]
    assert [(one["id"], one["name"], one["measured"]) for one in told] == [
        (3, "7W", True),
        (2, "MAXN_SUPER", False),
        (1, "25W", True),
    ]
    assert "takes a restart of the board" in told[1]["reason"]
    assert "sudo nvpmodel -m 2" in told[1]["fix"]
    assert told[0]["reason"] is None
    assert "skipped MAXN_SUPER: power mode MAXN_SUPER takes a restart" in err

    assert app.run(["report", "profiles"]) == 0
    table = capsys.readouterr().out
    assert "power mode" in table
    assert "7W" in table
    assert "25W" in table

    code, again, err = run(capsys, "--power-mode", "7W,1", "--resume")
    assert code == 0
    assert "1/2 (7W) artifact: measured at" in err
    assert [one["resumed"] for one in again["profiles"]] == [True, True]
    assert fake.mode == 1


def test_an_unknown_mode_lists_those_there_are(
    fake: FakeModes, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found, _ = run(capsys, "--power-mode", "MAXN")
    assert code == 2
    assert "no power mode 'MAXN'" in found["error"]["problem"]
    assert "15W (0), 25W (1), MAXN_SUPER (2), 7W (3)" in found["error"]["fix"]
    assert fake.changes == []


def test_a_machine_without_nvpmodel_exits_with_4(
    fake: FakeModes, capsys: pytest.CaptureFixture[str]
) -> None:
    (fake.bin / "nvpmodel").unlink()
    code, found, _ = run(capsys, "--power-mode", "all")
    assert code == 4
    assert "no nvpmodel" in found["error"]["problem"]
    assert "--host root@board" in found["error"]["fix"]


def test_modes_that_all_take_a_restart_are_an_error(
    fake: FakeModes, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.has("restarts", "2")
    code, found, _ = run(capsys, "--power-mode", "MAXN_SUPER")
    assert code == 4
    assert "takes a restart" in found["error"]["problem"]
    assert fake.mode == 1
    assert not (fake.board / "restarted").exists()


@pytest.mark.slow
def test_a_mode_that_does_not_come_back_is_an_error_with_the_command(
    fake: FakeModes, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.has("fails", "1")
    code, found, _ = run(capsys, "--power-mode", "7W")
    assert code == 1
    assert "not 25W again" in found["error"]["problem"]
    assert "sudo nvpmodel -m 1" in found["error"]["fix"]


def test_turns_are_taken_in_one_mode(fake: FakeModes, capsys: pytest.CaptureFixture[str]) -> None:
    code, found, _ = run(capsys, "artifact", "--ab", "--power-mode", "all")
    assert code == 2
    assert "--ab and --power-mode" in found["error"]["problem"]


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        signal.SIGTERM,
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_what_ends_the_command_leaves_the_first_mode(
    fake: FakeModes, number: signal.Signals
) -> None:
    argv = ["profile", "artifact", "--duration", "60", "--power-mode", "7W"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgedeploy", *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert fake_board.wait_until(lambda: fake.mode == 3)
    process.send_signal(number)
    assert process.wait() == (130 if number == signal.SIGINT else -number)
    assert fake_board.wait_until(lambda: fake.mode == 1)
