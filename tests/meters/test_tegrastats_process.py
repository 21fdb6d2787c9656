from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

import pytest

from edgedeploy.meters import tegrastats_process
from tests import fake_tegrastats as fake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgedeploy.meters.sampling import Reader, Sample

    Start = Callable[..., Reader]


AS_ROOT = " (fix: run as root: sudo -E $(command -v edgedeploy) profile …)"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    readers: list[Reader] = []

    def begin(does: str, line: str = fake.NANO) -> Reader:
        monkeypatch.setenv("PATH", str(fake.install(tmp_path / "bin", does, line)))
        reader, reason = tegrastats_process.start("/", 5)
        assert reason is None
        assert reader is not None
        readers.append(reader)
        return reader

    yield begin
    for reader in readers:
        reader.close()


def read(reader: Reader, count: int = 10**6) -> list[Sample]:
    """Read until there are ``count`` samples, or no more."""
    samples: list[Sample] = []
    until = time.monotonic() + 5
    while len(samples) < count and reader.ended is None and time.monotonic() < until:
        file = reader.fileno()
        assert file is not None
        if select.select([file], [], [], 0.1)[0]:
            samples += reader.read()
    return samples


def test_lines_become_samples_with_the_time_of_their_arrival(start: Start) -> None:
    before = time.perf_counter_ns()
    samples = read(start(fake.FOREVER), 5)
    times = [sample.t_ns for sample in samples]
    assert before < times[0] <= times[-1] < time.perf_counter_ns()
    assert times == sorted(times)
    assert times[-1] - times[0] >= 0.7 * 4 * fake.PERIOD_S * 1e9
    assert samples[0].rails_mw == {"POM_5V_IN": 3000, "POM_5V_GPU": 700, "POM_5V_CPU": 800}


def test_line_that_comes_in_pieces_is_one_sample(start: Start) -> None:
    reader = start("say(LINE[:70], ''); say(LINE[70:200], ''); say(LINE[200:])")
    samples = read(reader)
    assert [sample.rails_mw["POM_5V_IN"] for sample in samples] == [3000]


def test_of_glued_records_the_last_counts(start: Start) -> None:
    samples = read(start("say(LINE.replace('N 3000/', 'N 9000/') + LINE); say(LINE * 2)"))
    assert [sample.rails_mw["POM_5V_IN"] for sample in samples] == [3000, 3000]


def test_garbage_in_between_loses_only_itself(start: Start) -> None:
    does = "say(LINE); say('nvrm: error'); say('\\0\\xff'); say(LINE[:150]); say(LINE)"
    samples = read(start(does))
    assert [sample.rails_mw.get("POM_5V_IN") for sample in samples] == [3000, None, 3000]


def test_record_that_its_death_cut_off_keeps_what_is_whole(start: Start) -> None:
    reader = start("say(LINE); say(LINE[:LINE.index('POM_5V_CPU') - 1], '')")
    samples = read(reader)
    assert samples[1].rails_mw == {"POM_5V_IN": 3000, "POM_5V_GPU": 700}
    assert reader.ended == "it ended with exit code 0"


def test_exit_code_and_signal_of_its_death_are_told(start: Start) -> None:
    dies = start(fake.DIES)
    assert len(read(dies)) == 30
    assert dies.ended == "it ended with exit code 3"
    killed = start("say(LINE); os.kill(os.getpid(), 9)")
    assert len(read(killed)) == 1
    assert killed.ended == "it was ended by signal 9"


def test_one_that_closes_its_output_and_lives_on_has_ended(start: Start) -> None:
    reader = start("say(LINE); os.close(1); os.close(2); time.sleep(60)")
    assert len(read(reader)) == 1
    assert reader.ended == "it closed its output"


@pytest.mark.parametrize(
    ("does", "complaint"),
    [
        ("pass", "it has printed nothing"),
        ("say('hello\\x07 there')", "it has printed no record, but 'hello  there'"),
        (
            fake.NEEDS_ROOT,
            "it has printed no record, but 'tegrastats: Operation not permitted, run with sudo'"
            + AS_ROOT,
        ),
        (
            f"say({fake.WITHOUT_RAILS!r})",
            "it prints no power rails, which may be for root only" + AS_ROOT,
        ),
    ],
)
def test_what_came_instead_of_power_is_said(start: Start, does: str, complaint: str) -> None:
    reader = start(does)
    read(reader)
    assert reader.complaint() == complaint


def test_one_that_prints_something_else_is_given_up_unless_it_had_printed_records(
    start: Start,
) -> None:
    junk = start("for _ in range(25): say('nvrm: error')")
    read(junk)
    assert junk.ended == "it was given up after 20 lines"
    better = start("say(LINE)\nfor _ in range(25): say('nvrm: error')\nsay(LINE)")
    assert len(read(better)) == 2
    assert better.ended == "it ended with exit code 0"


def test_endless_line_needs_little_memory(start: Start) -> None:
    reader = start("for _ in range(50): os.write(1, b'x' * 65536)\nsay('');say(LINE)")
    assert len(read(reader)) == 1


def test_one_that_will_not_go_is_killed(start: Start) -> None:
    reader = start(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); say(str(os.getpid()))\n"
        + fake.FOREVER
    )
    read(reader, 1)
    reader.close()
    reader.close()  # a second time does nothing


def test_absent_program_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tegrastats_process.start("/", 100) == (
        None,
        "no program called tegrastats: it comes with Jetson Linux",
    )


def test_program_that_does_not_start_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "tegrastats"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    reader, reason = tegrastats_process.start("/", 100)
    assert reader is None
    assert reason is not None
    assert reason.startswith(f"{os.fspath(program)} cannot be started: ")
