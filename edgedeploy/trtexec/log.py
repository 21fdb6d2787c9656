"""What trtexec prints: TensorRT 8.0 to 11, one run a file.

The lines are those of NVIDIA/TensorRT's samples/common: sampleOptions.cpp (options),
sampleDevice.cpp (device), sampleInference.cpp (tensors) and sampleReporting.cpp (summary).
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError, MeasurementError
from edgedeploy.trtexec.summary import NUMBER, DamagedError, number, timing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.trtexec.summary import Timing

_MOST_BYTES = 1 << 28
_LONGEST_LINE = 4096
_AGAIN = "measure again and keep all that trtexec prints: trtexec … > run.log 2>&1"

_BANNER = re.compile(
    r"&&&& (RUNNING|PASSED|FAILED|WAIVED) TensorRT\.trtexec "
    r"\[TensorRT v(\d{4}|\d{6})\](?: \[(b\d+)\])?(?: # (.*))?",
    re.ASCII,
)
_LINE = re.compile(r"(?:\[(\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d)\] )?\[([VIWEF])\] ?(.*)", re.ASCII)
_HEADER = re.compile(r"=== (.+) ===")
_WARM_UP = re.compile(rf"Warmup completed (\d{{1,12}}) queries over {NUMBER} ms", re.ASCII)
_TRACE = re.compile(rf"Timing trace has (\d{{1,12}}) queries over {NUMBER} s", re.ASCII)
_THROUGHPUT = re.compile(rf"{NUMBER} qps", re.ASCII)
_SIZE = re.compile(
    rf"(?:\[TRT\] Loaded engine size:|Created engine with size:) {NUMBER} (?:MiB|MB)", re.ASCII
)
# up to 8.4: Created input binding for …; later: Input binding for … is created.
_TENSOR = re.compile(
    r"(?:Created )?(input|output) binding for (.+) with dimensions (\d{1,9}(?:x\d{1,9}){0,7})"
    r"(?: is created\.)?",
    re.ASCII | re.IGNORECASE,
)
_METRICS = {
    "Latency": "latency",
    "Enqueue Time": "enqueue",
    "H2D Latency": "h2d",
    "GPU Compute Time": "compute",
    "D2H Latency": "d2h",
}
_SECTIONS = (
    "Model Options",
    "Build Options",
    "System Options",
    "Inference Options",
    "Reporting Options",
    "Device Information",
)


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as trtexec bound it: its name and the lengths of its axes."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measurement that passed.

    Attributes:
        version: Of TensorRT, e.g. ``(8, 2, 1)``.
        build: Its build number, e.g. ``"b34"``; None where it prints none.
        command: What was typed, the program first.
        sections: The options and the device by the names of their blocks.
        inputs: Bound inputs; empty where the log does not name them.
        outputs: Bound outputs.
        queries: Timed.
        warm_up_queries: Before them, not counted.
        warm_up_ms: How long these lasted, at least.
        seconds: From the first timed query to the last one's end.
        throughput_qps: Queries per second.
        timings: ``latency``, ``enqueue``, ``h2d``, ``compute`` and ``d2h``.
        warnings: What trtexec says against its own summary.
        engine_mib: Size of the engine, as TensorRT rounds it; None where it is not printed.
        finished: When its last line was written, by the machine's own clock in its own time zone:
            ``07/14/2023-11:55:18``; None where lines carry no time.
    """

    version: tuple[int, int, int]
    build: str | None
    command: tuple[str, ...]
    sections: Mapping[str, Mapping[str, str]]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    queries: int
    warm_up_queries: int
    warm_up_ms: float
    seconds: float
    throughput_qps: float
    timings: Mapping[str, Timing]
    warnings: tuple[str, ...]
    engine_mib: float | None
    finished: str | None

    def option(self, section: str, name: str) -> str:
        """Return what a block says of ``name``, ``""`` where it says nothing."""
        return self.sections.get(section, {}).get(name, "")

    def argument(self, flag: str) -> str | None:
        """Return the value that a flag was given, ``""`` for a bare one, None without it."""
        for word in self.command[1:]:
            name, _, value = word.partition("=")
            if name == flag:
                return value
        return None


def read(path: Path) -> Run:
    """Read what trtexec printed into a file.

    Raises:
        FileError: It cannot be read, or is no whole output of one measurement.
        MeasurementError: trtexec failed.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise FileError(
                f"{path} has {path.stat().st_size / 1e6:.0f} MB, a log has {_MOST_BYTES / 1e6:.0f} "
                "at most",
                fix="measure again without --verbose",
            )
        data = path.read_bytes()
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}", fix="pass the file that holds its output"
        ) from error
    return parse(data.decode("utf-8", errors="replace"), name=str(path))


def parse(text: str, *, name: str) -> Run:
    """Read what trtexec printed.

    Args:
        text: All of it; lines of other programs in between do not matter.
        name: What an error calls it, usually its path.

    Raises:
        FileError: It is no whole output of one measurement.
        MeasurementError: trtexec failed.
    """
    found = _Found()
    try:
        for line in text.split("\n"):
            found.take(_printable(line[:_LONGEST_LINE].rstrip()))
        _check_ending(found, name)
        return _run(found)
    except DamagedError as error:
        raise FileError(f"{name} is damaged: {error}", fix=_AGAIN) from error


@dataclass(slots=True)
class _Found:
    """What the lines so far have said."""

    started: list[re.Match[str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    sections: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    summary: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    warm_up: re.Match[str] | None = None
    trace: re.Match[str] | None = None
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    engine_mib: float | None = None
    finished: str | None = None
    section: str | None = None

    def take(self, line: str) -> None:
        """Take in one line."""
        if (banner := _BANNER.match(line)) is not None:
            if banner[1] == "RUNNING":
                self.started.append(banner)
            else:
                self.ended.append(banner[1])
            return
        match = _LINE.match(line)
        if match is None:
            return
        self.finished = match[1] or self.finished
        level, said = match[2], match[3]
        if level in "EF":
            self.errors.append(said)
        elif level == "W" and said.startswith("* "):
            self.warnings.append(said[2:])
        elif level == "I":
            self._take_fact(said)

    def _take_fact(self, said: str) -> None:
        if (header := _HEADER.fullmatch(said)) is not None:
            self.section = header[1]
        elif not said:
            self.section = None
        elif self.section == "Performance summary":
            key, _, value = said.partition(": ")
            self.summary[key] = value
        elif self.section in _SECTIONS:
            key, _, value = said.partition(":")
            self.sections[self.section][key.strip()] = value.strip()
        elif (tensor := _TENSOR.fullmatch(said)) is not None:
            shape = tuple(int(length) for length in tensor[3].split("x"))
            self.tensors[tensor[1].lower()].append(Tensor(tensor[2], shape))
        elif (size := _SIZE.match(said)) is not None:
            if self.engine_mib is None:  # the first is that of the file
                self.engine_mib = number(size[1])
        else:
            self.warm_up = _WARM_UP.fullmatch(said) or self.warm_up
            self.trace = _TRACE.fullmatch(said) or self.trace


def _check_ending(found: _Found, name: str) -> None:
    """Refuse what holds anything else than one measurement that passed."""
    if not found.started:
        raise FileError(
            f"{name} is no output of trtexec: no line begins with '&&&& RUNNING TensorRT.trtexec'",
            fix=_AGAIN,
        )
    if len(found.started) > 1:
        raise FileError(
            f"{name} holds {len(found.started)} runs of trtexec",
            fix="keep the measurement alone: one run a file, written with > and not with >>",
        )
    if "FAILED" in found.ended or "WAIVED" in found.ended:
        said = " | ".join(found.errors[:3]) or "it gave no reason"
        raise MeasurementError(f"{name}: trtexec failed: {said[:500]}", fix="mend that, then again")
    if not found.ended:
        why = f" after: {found.errors[0][:300]}" if found.errors else ""
        raise FileError(f"{name} ends before trtexec did: no line says PASSED{why}", fix=_AGAIN)
    if not found.summary:
        raise FileError(
            f"{name} holds no performance summary: that run built an engine, or profiled layers",
            fix="measure it: edgedeploy trtexec command ARTIFACT --measure prints how",
        )


def _run(found: _Found) -> Run:
    (banner,) = found.started
    if found.warm_up is None or found.trace is None:
        raise DamagedError("it does not say how many queries were timed")
    throughput = _THROUGHPUT.fullmatch(found.summary.get("Throughput", ""))
    if throughput is None:
        raise DamagedError(f"the throughput is {found.summary.get('Throughput')!r}")
    queries = int(found.trace[1])
    if queries < 1:
        raise DamagedError("no query was timed")
    return Run(
        version=_version(banner[2]),
        build=banner[3],
        command=tuple((banner[4] or "").split()),
        sections={section: dict(values) for section, values in found.sections.items()},
        inputs=tuple(found.tensors["input"]),
        outputs=tuple(found.tensors["output"]),
        queries=queries,
        warm_up_queries=int(found.warm_up[1]),
        warm_up_ms=number(found.warm_up[2]),
        seconds=number(found.trace[2]),
        throughput_qps=number(throughput[1]),
        timings={key: timing(title, found.summary) for title, key in _METRICS.items()},
        warnings=tuple(found.warnings),
        engine_mib=found.engine_mib,
        finished=found.finished,
    )


def _version(digits: str) -> tuple[int, int, int]:
    """Read a version: 8201 is 8.2.1, 100300 is 10.3.0."""
    if len(digits) == 4:
        return (int(digits[0]), int(digits[1]), int(digits[2:]))
    return (int(digits[:2]), int(digits[2:4]), int(digits[4:]))


def _printable(line: str) -> str:
    # what is not printable could steer the terminal that shows it
    if line.isprintable():
        return line
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)
