from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgedeploy.errors import (
    EdgeDeployError,
    FileError,
    MissingDependencyError,
    UnsupportedError,
)
from edgedeploy.profiling import holding, ssh
from edgedeploy.profiling.ssh import Ssh
from tests import fake_board

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from edgedeploy.profiling.holding import Hold
    from tests.fake_board import FakeBoard


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    return fake_board.make(tmp_path, monkeypatch)


def hold(python: str = sys.executable) -> AbstractContextManager[Hold]:
    return holding.hold(Ssh(ssh.program(), "me@board", Path("/none")), python)


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    """What another process's shell on the board looks like."""
    argv = ["sh", "-c", "read line", "edgedeploy-board"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        yield process


def test_a_board_is_held_and_nothing_is_left_there(board: FakeBoard) -> None:
    with hold() as held:
        assert [Path(held.folder).name] == board.left()
        assert Path(held.folder).stat().st_mode & 0o777 == 0o700
        assert str(os.getpid()) in str(board.lock.readlink())
    assert held.connection.returncode is not None
    assert not board.left()
    assert not os.path.lexists(board.lock)


def test_a_second_one_is_refused_and_told_who_holds_it(board: FakeBoard) -> None:
    with hold() as held:
        with pytest.raises(
            EdgeDeployError, match=r"board is being measured by \S+@\S+ process"
        ) as e:
            hold().__enter__()
        assert str(os.getpid()) in e.value.problem
        assert f"ssh me@board kill {held.connection.pid}" in e.value.fix
        assert board.left() == [Path(held.folder).name]


@pytest.mark.parametrize("end", [KeyboardInterrupt, FileError("it broke", fix="mend it")])
def test_whatever_ends_the_work_the_board_is_cleaned(
    board: FakeBoard, end: BaseException | type[BaseException]
) -> None:
    with pytest.raises((KeyboardInterrupt, FileError)), hold():
        raise end
    assert not board.left()
    assert not os.path.lexists(board.lock)


def test_a_board_cleans_up_when_its_host_is_killed(board: FakeBoard) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from edgedeploy.profiling import holding, ssh\n"
        "with holding.hold(ssh.Ssh(ssh.program(), 'b', Path('/none')), sys.executable):\n"
        "    print(flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        host.stdout.readline()
        assert board.left()
        host.kill()
    assert fake_board.wait_until(lambda: not board.left() and not os.path.lexists(board.lock))


def test_what_a_killed_shell_left_is_removed_by_the_next(board: FakeBoard) -> None:
    old = board.tmp / "edgedeploy-run.old"
    old.mkdir()
    gone = fake_board.dead_process()
    (old / "holder").write_text(f"{gone}\n")
    board.lock.symlink_to(f"{gone} somebody@elsewhere process 7 since long ago")
    (board.tmp / "edgedeploy-run").mkdir()  # not ours
    with hold():
        assert len(board.left()) == 2
        assert not old.exists()
    assert board.left() == ["edgedeploy-run"]


def test_a_folder_whose_shell_lives_is_left_alone(
    board: FakeBoard, holder: subprocess.Popen[bytes]
) -> None:
    other = board.tmp / "edgedeploy-run.other"
    other.mkdir()
    (other / "holder").write_text(f"{holder.pid}\n")
    with hold():
        assert other.exists()


def test_a_number_that_another_program_has_by_now_holds_nothing(board: FakeBoard) -> None:
    board.lock.symlink_to(f"{os.getpid()} somebody@elsewhere process 7 since long ago")
    with hold():
        assert "somebody" not in str(board.lock.readlink())


def test_a_dead_process_of_ours_holds_nothing_though_the_board_has_not_noticed(
    board: FakeBoard, holder: subprocess.Popen[bytes]
) -> None:
    who = holding.who().replace(f"process {os.getpid()}", f"process {fake_board.dead_process()}")
    board.lock.symlink_to(f"{holder.pid} {who}")
    with hold():
        assert holder.wait(timeout=20) != 0
        assert str(os.getpid()) in str(board.lock.readlink())


@pytest.mark.parametrize("change", ["user", "container", "alive"])
def test_what_may_still_live_keeps_the_board(
    change: str, board: FakeBoard, holder: subprocess.Popen[bytes]
) -> None:
    who, gone = holding.who(), fake_board.dead_process()
    changed = {
        "user": who.replace("@", "x@").replace(f"process {os.getpid()}", f"process {gone}"),
        "container": who.replace(f"process {os.getpid()}.", f"process {gone}.9"),
        "alive": who,
    }
    board.lock.symlink_to(f"{holder.pid} {changed[change]}")
    with pytest.raises(EdgeDeployError, match="is being measured by"):
        hold().__enter__()
    assert holder.poll() is None


def test_a_mark_that_cannot_be_removed_is_named(board: FakeBoard) -> None:
    board.lock.symlink_to("99999999 somebody@elsewhere process 7 since long ago")
    board.program("mv", "exit 1")
    with pytest.raises(EdgeDeployError, match=r"somebody@elsewhere .* who is gone") as caught:
        hold().__enter__()
    assert "sudo rm" in caught.value.fix


@pytest.mark.parametrize("name", ["tar", "mktemp", "readlink", "grep"])
def test_a_missing_program_is_named_before_anything_is_copied(name: str, board: FakeBoard) -> None:
    (board.bin / name).unlink()
    with pytest.raises(MissingDependencyError, match=f"me@board has no {name}"):
        hold().__enter__()
    assert not board.left()
    assert not os.path.lexists(board.lock)


def test_a_missing_python_is_named(board: FakeBoard) -> None:
    with pytest.raises(MissingDependencyError, match="me@board has no python3") as caught:
        hold("python3").__enter__()
    assert "--python" in caught.value.fix
    assert not board.left()


def test_a_python_that_is_too_old_is_told_which_it_must_be(board: FakeBoard) -> None:
    board.program("python3", "echo 3.5")
    with pytest.raises(UnsupportedError, match=r"is Python 3\.5, the worker needs 3\.6"):
        hold("python3").__enter__()
    assert not board.left()


@pytest.mark.parametrize(
    "script",
    ["echo 'libpython3.6m.so: not found' >&2; exit 1", "echo libpython3.6m.so: not found", "true"],
)
def test_what_is_no_python_is_shown_with_its_words(script: str, board: FakeBoard) -> None:
    board.program("python3", script)
    words = "it says" if script == "true" else r"libpython3\.6m\.so: not found"
    with pytest.raises(MissingDependencyError, match=f"python3 does not start: .*{words}"):
        hold("python3").__enter__()
    assert not board.left()


def test_a_python_may_be_named_relative_to_where_one_logs_in(board: FakeBoard) -> None:
    name = os.path.relpath(sys.executable)
    with hold(name) as held:
        assert held.folder


def test_a_disk_without_room_for_a_folder_is_told(board: FakeBoard) -> None:
    board.program("mktemp", "echo 'mktemp: No space left on device' >&2; exit 1")
    with pytest.raises(FileError, match="no room for a folder: mktemp: No space left") as caught:
        hold().__enter__()
    assert "df -h" in caught.value.fix
    assert not os.path.lexists(board.lock)


def test_a_lock_that_cannot_be_made_is_told(board: FakeBoard) -> None:
    board.program("ln", "echo 'ln: Read-only file system' >&2; exit 1")
    with pytest.raises(FileError, match="Read-only file system"):
        hold().__enter__()


def test_a_shell_that_waits_for_somebody_is_given_up(tmp_path: Path) -> None:
    fake = tmp_path / "ssh"
    fake.write_text("#!/bin/sh\necho 'Choose your environment:'\nread answer\n")
    fake.chmod(0o755)
    line = Ssh((str(fake),), "me@board", tmp_path / "control", answer_s=0.1)
    with pytest.raises(EdgeDeployError, match=r"me@board has not answered within 0\.1 s") as caught:
        holding.hold(line, "python3").__enter__()
    assert "ssh me@board true" in caught.value.fix


def test_a_shell_that_ends_at_once_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ssh"
    fake.write_text("#!/bin/sh\necho 'This account is not available'\necho no login >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv(ssh.PROGRAM, str(fake))
    with pytest.raises(EdgeDeployError, match=r"exit code 1\): no login"):
        hold().__enter__()
