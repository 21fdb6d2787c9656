"""A board behind a real sshd: connecting, being refused, losing the line."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import EdgeDeployError, MeasurementError
from edgedeploy.profiling import remote, ssh
from tests import fake_board, sshd
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.sshd import Server

QUICK = {"min_s": 0, "max_s": 0.2, "window_s": 0.01}
JOB = {"job": "profile", "duration_s": 0.05, "threads": 1, "warm_up": QUICK, "board": None}
LONG = {**JOB, "duration_s": 600}
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def server(shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv(ssh.PROGRAM, shared_server.command)
    sshd.know(shared_server.folder, shared_server.port, "host")
    return shared_server


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "artifact")


def clean(server: Server) -> bool:
    return not server.left() and not os.path.lexists(server.folder / "lock")


def logins(server: Server) -> int:
    return (server.folder / "log").read_text(encoding="utf-8").count("Accepted publickey")


def test_several_artifacts_are_measured_over_one_connection(
    server: Server, artifact: Path, tmp_path: Path
) -> None:
    other = write_artifact(tmp_path / "other", precision="int8")
    before = logins(server)
    with remote.connected("board", sys.executable) as board:
        for folder in (artifact, other):
            result, _ = board.profile(folder, JOB, timeout_s=PATIENCE_S)
            assert result["count"] >= 64
            assert result["environment"]["executable"] == sys.executable
    assert logins(server) == before + 1
    assert clean(server)


def test_a_dropped_line_ends_the_measurement_and_leaves_nothing_there(
    server: Server, artifact: Path
) -> None:
    pids: list[int] = []

    def drop(event: Mapping[str, Any]) -> None:
        if event.get("phase") == "timing" and not pids:
            (folder,) = server.left()
            pids.append(int((server.tmp / folder / "worker").read_text(encoding="ascii")))
            for session in server.sessions():
                os.kill(session, signal.SIGKILL)

    with (
        remote.connected("board", sys.executable) as board,
        pytest.raises(
            MeasurementError, match=r"board: the connection broke in phase 'timing'"
        ) as e,
    ):
        board.profile(artifact, LONG, timeout_s=PATIENCE_S, on_event=drop)
    assert not board.reachable
    assert "closed" in e.value.problem
    assert fake_board.wait_until(lambda: clean(server))
    assert fake_board.wait_until(lambda: not Path(f"/proc/{pids[0]}").exists())


def test_ctrl_c_ends_the_worker_there_and_leaves_nothing(server: Server, artifact: Path) -> None:
    pids: list[int] = []

    def interrupt(event: Mapping[str, Any]) -> None:
        if event.get("phase") == "timing":
            (folder,) = server.left()
            pids.append(int((server.tmp / folder / "worker").read_text(encoding="ascii")))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), remote.connected("board", sys.executable) as board:
        board.profile(artifact, LONG, timeout_s=PATIENCE_S, on_event=interrupt)
    assert clean(server)
    assert fake_board.wait_until(lambda: not Path(f"/proc/{pids[0]}").exists())


def test_an_unknown_host_key_is_refused_without_asking(server: Server) -> None:
    sshd.know(server.folder, server.port, None)
    with pytest.raises(
        EdgeDeployError, match=r"not known here; ssh says: .*verification"
    ) as caught:
        remote.connected("board", sys.executable).__enter__()
    assert "fingerprint" in caught.value.fix


def test_another_host_key_than_before_is_refused(server: Server) -> None:
    sshd.know(server.folder, server.port, "stranger")
    with pytest.raises(EdgeDeployError, match="another host key than it did before") as caught:
        remote.connected("board", sys.executable).__enter__()
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in caught.value.fix


def test_a_key_that_the_board_does_not_take_is_refused_without_asking(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = server.folder / "strangers_config"
    text = (server.folder / "config").read_text(encoding="ascii")
    config.write_text(text.replace(str(server.folder / "user"), str(server.folder / "stranger")))
    monkeypatch.setenv(ssh.PROGRAM, f"ssh -F {config}")
    with pytest.raises(EdgeDeployError, match="Permission denied") as caught:
        remote.connected("board", sys.executable).__enter__()
    assert "ssh-copy-id board" in caught.value.fix


def test_a_port_where_nobody_listens_is_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:  # bound, not listening
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv(ssh.PROGRAM, f"{server.command} -p {taken.getsockname()[1]}")
        with pytest.raises(EdgeDeployError, match="no SSH server listens") as caught:
            remote.connected("board", sys.executable).__enter__()
    assert "systemctl" in caught.value.fix
