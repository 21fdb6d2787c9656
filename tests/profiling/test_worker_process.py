from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.errors import (
    ArtifactError,
    EdgeDeployError,
    FileError,
    MeasurementError,
    MissingDependencyError,
    UnsupportedError,
    UsageError,
    WrongBoardError,
)
from edgedeploy.profiling import worker_process
from edgedeploy.worker.samples import decode
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from collections.abc import Mapping

QUICK = {"min_s": 0, "max_s": 0.2, "window_s": 0.01}
SLOW_START_S = 60.0


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "artifact")


def job(artifact: Path, **wishes: Any) -> dict[str, Any]:
    return {
        "job": "profile",
        "artifact": str(artifact),
        "duration_s": 0.05,
        "threads": 1,
        "warm_up": QUICK,
        **wishes,
    }


def talk(script: str, **options: Any) -> dict[str, Any]:
    """Converse with a worker whose whole program is ``script``."""
    argv = [sys.executable, "-c", textwrap.dedent(script)]
    return worker_process.converse(argv, {"job": "probe"}, **{"timeout_s": SLOW_START_S} | options)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def test_a_real_worker_measures_a_real_artifact_and_tells_its_phases(artifact: Path) -> None:
    events: list[Mapping[str, Any]] = []
    result = worker_process.run(job(artifact, min_runs=70), on_event=events.append)
    assert len(decode(result["samples"])) == result["count"] >= 70
    assert result["runtime"]["backend"] == "ort"
    assert result["runtime"]["threads"] == 1
    assert result["environment"]["executable"] == sys.executable
    assert result["cold_start_ms"]["import"] > 1  # onnxruntime, not a module that was there already
    assert [event["phase"] for event in events][:2] == ["import", "load"]


def test_a_copy_of_the_package_measures_under_another_python(artifact: Path) -> None:
    result = worker_process.run(job(artifact), python=Path(sys.executable))
    assert result["count"] >= 64
    probed = worker_process.run({"job": "probe"}, python=Path(sys.executable))
    assert probed["environment"]["executable"] == sys.executable
    assert probed["board"]["name"]


def test_the_copy_holds_what_travels_and_nothing_else(tmp_path: Path) -> None:
    worker_process.copy_to(tmp_path)
    names = sorted(path.name for path in (tmp_path / "edgedeploy").iterdir())
    assert names == ["__init__.py", "meters", "runtime", "worker"]
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_worker_runs_under_another_package_name(tmp_path: Path) -> None:
    worker_process.copy_to(tmp_path)
    (tmp_path / "edgedeploy").rename(tmp_path / "measurer")
    done = subprocess.run(
        [sys.executable, "-m", "measurer.worker"],
        input='{"job": "probe"}\n',
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["event"] == "result"


def test_a_python_without_numpy_is_named(tmp_path: Path) -> None:
    # -S leaves site-packages out, so there is no NumPy
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(MissingDependencyError, match="has no NumPy") as caught:
        worker_process.run({"job": "probe"}, python=bare)
    assert "python3-numpy" in caught.value.fix


@pytest.mark.parametrize("name", ["/no/such/python", "no-such-python"])
def test_a_python_that_is_not_there_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"--python {name} is not a program"):
        worker_process.run({"job": "probe"}, python=Path(name))


def test_a_python_that_is_too_old_is_told_which_it_must_be(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\necho 'SyntaxError: invalid syntax' >&2\nexit 1\n")
    old.chmod(0o755)
    with pytest.raises(MeasurementError, match="phase 'start': SyntaxError") as caught:
        worker_process.run({"job": "probe"}, python=old)
    assert "Python 3.6 or newer" in caught.value.fix


def test_a_truncated_engine_is_one_error_with_the_workers_words(artifact: Path) -> None:
    engine = artifact / "model.onnx"
    engine.write_bytes(engine.read_bytes()[:-7])
    with pytest.raises(FileError, match=r"SHA-256.*the manifest says") as caught:
        worker_process.run(job(artifact))
    assert "Traceback" not in str(caught.value)


def test_a_missing_artifact_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is no artifact"):
        worker_process.run(job(tmp_path / "none"))


def test_a_job_that_makes_no_sense_comes_back_as_a_usage_error(artifact: Path) -> None:
    with pytest.raises(UsageError, match="min_runs"):
        worker_process.run(job(artifact, min_runs=0))


@pytest.mark.parametrize("text", ["{nonsense\n", "\n", ""])
def test_broken_json_on_stdin_is_an_error_event_and_its_exit_code(text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgedeploy.worker"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["event"] == "error"
    assert json.loads(line)["exit_code"] == done.returncode == 2
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (2, UsageError),
        (3, MissingDependencyError),
        (4, UnsupportedError),
        (6, FileError),
        (7, MeasurementError),
        (1, EdgeDeployError),
        (99, EdgeDeployError),
    ],
)
def test_an_error_event_becomes_the_error_of_its_exit_code(
    code: int, kind: type[EdgeDeployError]
) -> None:
    event = {"event": "error", "problem": "it broke", "fix": "mend it", "exit_code": code}
    with pytest.raises(kind, match="it broke") as caught:
        talk(f"print('''{json.dumps(event)}''')")
    assert type(caught.value) is kind
    assert caught.value.fix == "mend it"


def test_an_error_event_may_name_its_class() -> None:
    event = {"event": "error", "problem": "an Orin", "fix": "move", "exit_code": 4}
    with pytest.raises(WrongBoardError, match="an Orin"):
        talk(f"print('''{json.dumps({**event, 'kind': 'WrongBoardError'})}''')")
    with pytest.raises(UnsupportedError) as caught:
        talk(f"print('''{json.dumps({**event, 'kind': ['dict']})}''')")
    assert type(caught.value) is UnsupportedError


def test_what_a_vendor_prints_to_stdout_does_not_reach_the_json_lines() -> None:
    result = talk(
        """
        import os
        from edgedeploy.worker.channel import Channel, take_stdout
        channel = Channel(take_stdout())
        os.write(1, b"[TensorRT] hello from C++\\n")
        print("and from Python")
        channel.result({"kept": True})
        """
    )
    assert result == {"kept": True}


@pytest.mark.parametrize("line", ["Welcome to this board!", "[1]", '{"event": "dance"}', "{}", "7"])
def test_garbage_on_stdout_is_shown_and_refused(line: str) -> None:
    with pytest.raises(MeasurementError, match="not one of its JSON lines") as caught:
        talk(f"print({line!r})")
    assert line[:10] in caught.value.problem


def test_an_event_that_lacks_something_is_named() -> None:
    with pytest.raises(MeasurementError, match="event 'progress' lacks seconds"):
        talk("""print('{"event": "progress", "runs": 3}')""")


def test_a_worker_that_dies_is_an_error_with_its_phase_and_last_words() -> None:
    with pytest.raises(MeasurementError) as caught:
        talk(
            """
            import os, signal, sys
            print('{"event": "phase", "phase": "load"}', flush=True)
            print("engine: out of cheese", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
            """
        )
    assert "signal 11" in caught.value.problem
    assert "in phase 'load': engine: out of cheese" in caught.value.problem


def test_a_worker_that_the_kernel_kills_is_told_to_need_memory() -> None:
    with pytest.raises(MeasurementError, match="signal 9") as caught:
        talk("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert "memory" in caught.value.fix


def test_a_python_error_shows_its_last_line_and_no_traceback() -> None:
    with pytest.raises(MeasurementError, match=r"exit code 1.*ValueError: no luck") as caught:
        talk("raise ValueError('no luck')")
    assert "Traceback" not in str(caught.value)


def test_a_worker_that_says_nothing_is_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(MeasurementError, match="said nothing for 2 s"):
        talk(
            f"""
            import os, pathlib, time
            pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))
            time.sleep(600)
            """,
            timeout_s=2.0,
        )
    assert not pid_file.exists() or wait_until_gone(int(pid_file.read_text(encoding="ascii")))


def test_ctrl_c_ends_the_worker_and_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        talk(
            f"""
            import os, pathlib, subprocess, sys, time
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            pathlib.Path({str(pids)!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
            print('{{"event": "phase", "phase": "timing"}}', flush=True)
            time.sleep(600)
            """,
            on_event=interrupt,
        )
    for pid in pids.read_text(encoding="ascii").split():
        assert wait_until_gone(int(pid))


def test_a_worker_killed_while_it_measures_is_an_error(artifact: Path) -> None:
    def kill(event: Mapping[str, Any]) -> None:
        if event.get("phase") == "timing":
            (found,) = workers()
            os.kill(found, signal.SIGKILL)

    with pytest.raises(MeasurementError, match=r"signal 9 .* in phase 'timing'"):
        worker_process.run(job(artifact, duration_s=60), on_event=kill)
    assert not workers()


def workers() -> list[int]:
    """This process's own children that are workers."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int(
                (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
            )
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue  # it ended meanwhile
        if parent == os.getpid() and b"edgedeploy.worker" in words:
            found.append(int(folder.name))
    return found


HOST = """
import json, sys
from edgedeploy.profiling import worker_process
worker_process.run(json.loads(sys.argv[1]), on_event=lambda event: print(event, flush=True))
"""


def test_a_worker_ends_when_its_host_dies(artifact: Path) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, json.dumps(job(artifact, duration_s=300))],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    for line in host.stdout:
        if "timing" in line:
            break
    children = (
        Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text(encoding="ascii").split()
    )
    host.kill()
    host.wait()
    host.stdout.close()
    assert children
    assert all(wait_until_gone(int(pid)) for pid in children)


def test_sigint_ends_the_worker_at_once_without_a_traceback(artifact: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edgedeploy.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job(artifact, duration_s=300)) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if "timing" in line:
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert stderr == ""


def test_an_artifact_error_of_the_worker_keeps_its_fix(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        worker_process.run(job(tmp_path))
    assert not isinstance(caught.value, ArtifactError)  # the exit code is all that travels
    assert "edgedeploy build" in caught.value.fix
