from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgedeploy.errors import (
    EdgeDeployError,
    FileError,
    MeasurementError,
    MissingDependencyError,
    UsageError,
)
from edgedeploy.profiling import board_scripts, ssh
from edgedeploy.profiling.ssh import Ssh

SCRIPTS = {
    name: text
    for name, text in vars(board_scripts).items()
    if name in ("HOLD", "TAKE", "GIVE", "WORK")
}


def line(command: str = "ssh", host: str = "me@board") -> Ssh:
    return Ssh((command,), host, Path("/private/ssh"))


def test_nobody_is_ever_asked_and_a_dead_line_ends() -> None:
    argv = line().argv("true")
    options = [value for flag, value in itertools.pairwise(argv) if flag == "-o"]
    assert {"BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5"} <= set(options)
    assert "ControlPath=/private/ssh" in options
    assert "ControlMaster=no" in options
    assert argv[argv.index("--") :] == ["--", "me@board", "exec sh -c true edgedeploy-board"]


def test_one_command_opens_the_connection_that_the_others_use() -> None:
    assert "ControlMaster=yes" in line().argv("true", master=True)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_scripts_survive_the_login_shells_that_there_are(name: str) -> None:
    text = SCRIPTS[name]
    assert not set("'#\\") & set(text)  # csh, fish and line comments
    assert "\n" not in " ".join(line().argv(text))


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh", "tcsh", "fish"])
def test_a_script_runs_whatever_the_login_shell_is(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = line().argv(
        'true & test $! != 0;\necho "$1"; echo "$2"', "a b", board_scripts.VERSION
    )[-1]
    done = subprocess.run([shell, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == f"a b\n{board_scripts.VERSION}\n"


@pytest.mark.parametrize("host", ["", "-oProxyCommand=reboot", "me@board reboot", "board\n"])
def test_what_ssh_would_not_take_for_a_host_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="is no host"):
        ssh.check_host(host)


def test_another_command_line_may_stand_for_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ssh.PROGRAM, "sh -F 'my file' -p 2222")
    assert ssh.program() == ("sh", "-F", "my file", "-p", "2222")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("no-such-ssh -p 1", MissingDependencyError, "'no-such-ssh' is not a program"),
        ("", MissingDependencyError, "is not a program"),
        ("ssh -F 'my file", UsageError, "No closing quotation"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused(
    text: str, kind: type[EdgeDeployError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ssh.PROGRAM, text)
    with pytest.raises(kind, match=words):
        ssh.program()


# OpenSSH 9.2's own words.
REFUSALS = [
    ("ssh: Could not resolve hostname bord: Name or service not known", "nobody knows", "spelling"),
    ("ssh: connect to host 10.0.0.9 port 22: Connection refused", "no SSH server", "enable --now"),
    ("ssh: connect to host 10.0.0.9 port 22: Connection timed out", "does not answer", "ping"),
    ("ssh: connect to host 10.0.0.9 port 22: No route to host", "does not answer", "ping"),
    ("me@board: Permission denied (publickey,password).", "without a password", "ssh-copy-id me@"),
    (
        "No ED25519 host key is known for board and you …\nHost key verification failed.",
        "not known here",
        "fingerprint",
    ),
    (
        "@@@@@@\nHost key for [10.0.0.9]:2222 has changed and …\nHost key verification failed.",
        "another host key",
        r"ssh-keygen -R '\[10\.0\.0\.9\]:2222'",
    ),
    ("/home/me/.ssh/config: line 3: Bad configuration option: hoste", "options", "config"),
    ("kex_exchange_identification: read: Connection reset by peer", "not reached", "ssh -v me@"),
    ("", "ssh says: nothing", "ssh -v me@board true"),
]


@pytest.mark.parametrize(("words", "problem", "fix"), REFUSALS)
def test_a_refusal_is_told_in_both_words_with_what_to_do(
    words: str, problem: str, fix: str, tmp_path: Path
) -> None:
    fake = fake_ssh(tmp_path, f"cat >&2 <<'END'\n{words}\nEND\nexit 255")
    with pytest.raises(EdgeDeployError, match=problem) as caught:
        line(fake).run("true")
    assert words.rpartition("\n")[2] in caught.value.problem
    assert re.search(fix, caught.value.fix)


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    fake = fake_ssh(tmp_path, "echo 'tar: x: Cannot write: No space left on device' >&2; exit 2")
    with pytest.raises(FileError, match="disk of me@board is full: tar: x: Cannot write") as caught:
        line(fake).run("true")
    assert "df -h" in caught.value.fix


def test_another_failure_has_its_exit_code_and_words(tmp_path: Path) -> None:
    fake = fake_ssh(tmp_path, "echo 'tar: short read' >&2; exit 1")
    with pytest.raises(FileError, match=r"exit code 1\): tar: short read"):
        line(fake).run("true")


def test_a_board_that_takes_for_ever_is_given_up(tmp_path: Path) -> None:
    slow = Ssh((fake_ssh(tmp_path, "exec sleep 600"),), "me@board", tmp_path / "c", copy_s=0.05)
    with pytest.raises(MeasurementError, match=r"me@board has not taken .* within 0\.05 s"):
        slow.run("true")


def test_files_go_in_and_come_out(tmp_path: Path) -> None:
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(b"\0there and back\n")
    with sent.open("rb") as stdin, got.open("wb") as stdout:
        line(fake_ssh(tmp_path, "cat")).run("true", stdin=stdin, stdout=stdout)
    assert got.read_bytes() == sent.read_bytes()


def fake_ssh(folder: Path, script: str) -> str:
    path = folder / "ssh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
