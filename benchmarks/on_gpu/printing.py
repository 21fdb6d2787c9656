"""The results as text: 80 columns for a terminal, and Markdown rows for docs/gpu-checks.md."""

from __future__ import annotations

import statistics
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from on_gpu.results import Case, Checks, Machine, Row

WIDTH = 80
_OUTCOMES = ("passed", "failed", "error", "skipped")
# Heading and width of each column behind the model's name, which stands on a line of its own.
_COLUMNS = (
    ("precision", 9), ("graphs", 6), ("p50 ms", 7), ("p99 ms", 7), ("calls", 6),
    ("MB", 6), ("build s", 7), ("GPU MB", 6), ("agree %", 7),
)  # fmt: skip
_MARKDOWN = (
    "date", "GPU", "library", "model", "precision", "graphs", "p50 ms", "p99 ms", "calls",
    "engine MB", "build s", "GPU MB", "agreement with FP32", "remarks",
)  # fmt: skip
_TESTS = (
    "date", "GPU", "library", "CUDA through", "passed", "failed", "skipped", "remarks",
)  # fmt: skip


def heading(machine: Machine) -> str:
    """Return what the machine is."""
    text = (
        f"{machine.gpu} (compute capability {machine.compute_capability}), {machine.library}, "
        f"CUDA through {machine.cuda}, {machine.board}, Python {machine.python}, {machine.system}"
    )
    return _wrapped(text, "")


def tests(cases: Sequence[Case]) -> str:
    """Return a line per file, then every failure, then why tests were skipped."""
    lines = ["tests".ljust(36) + "".join(word.rjust(10) for word in _OUTCOMES)]
    for file in dict.fromkeys(case.file for case in cases):
        counts = Counter(case.outcome for case in cases if case.file == file)
        lines.append(file.ljust(36) + "".join(str(counts[word]).rjust(10) for word in _OUTCOMES))
    lines += [
        _wrapped(f"{case.outcome}: {case.name}: {case.message}", "  ")
        for case in cases
        if case.outcome in ("failed", "error")
    ]
    skipped = Counter(case.message for case in cases if case.outcome == "skipped")
    for reason, count in skipped.items():
        lines.append(_wrapped(f"skipped {count}: {reason}", "  "))
    return "\n".join(lines)


def columns() -> str:
    """Return the headings of `row`."""
    return "  " + "  ".join(name.rjust(width) for name, width in _COLUMNS)


def row(found: Row) -> str:
    """Return one line; of what was not measured, the reason."""
    words = [found.precision, "on" if found.graphs else "off"]
    if found.problem is not None:
        start = "  ".join(
            word.rjust(width) for word, (_, width) in zip(words, _COLUMNS, strict=False)
        )
        return _wrapped(f"{start}  not measured: {found.problem}", "  ")
    cells = [*words, *_numbers(found)]
    padded = (cell.rjust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
    return "  " + "  ".join(padded)


def markdown(checks: Checks) -> str:
    """Return the rows that docs/gpu-checks.md takes, under their headings."""
    machine = checks.machine
    begin = [checks.date, f"{machine.gpu} ({machine.compute_capability})", machine.library]
    counts = Counter(case.outcome for case in checks.cases)
    broken = [f"{c.name}: {c.message}" for c in checks.cases if c.outcome in ("failed", "error")]
    told = [
        *begin, machine.cuda, str(counts["passed"]), str(counts["failed"] + counts["error"]),
        str(counts["skipped"]), "; ".join(broken) or "–",
    ]  # fmt: skip
    lines = [*_head(_TESTS), _line(told), "", *_head(_MARKDOWN)]
    for found in checks.rows:
        cells = [
            *begin, found.model, found.precision, "on" if found.graphs else "off",
            *_numbers(found), _remarks(found),
        ]  # fmt: skip
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _numbers(found: Row) -> list[str]:
    latency = found.latency()
    return [
        _number(latency.p50_ms if latency else None, 3),
        _number(latency.p99_ms if latency else None, 3),
        "–" if latency is None else str(latency.count),
        _number(_mega(found.engine_bytes), 2),
        _number(found.build_s, 1),
        _number(_mega(found.device_bytes), 1),
        _number(None if found.agreement is None else 100 * found.agreement, 1),
    ]


def _remarks(found: Row) -> str:
    if found.problem is not None:
        return f"not measured: {found.problem}"
    runs = ", ".join(f"{count} layers in {kind}" for kind, count in found.runs.items())
    words = [
        found.int8_mode or "",
        runs,
        _stages(found),
        f"no graph: {found.no_graph}" if found.no_graph else "",
        "" if found.warmed else "the warm-up did not settle",
        "" if found.agreement is not None else found.agreement_reason or "",
    ]
    return "; ".join(word for word in words if word) or "–"


def _stages(found: Row) -> str:
    """Return the median of each stage."""
    medians = {name: statistics.median(times) for name, times in found.stages_ms.items()}
    return " + ".join(f"{name} {value:.3f}" for name, value in medians.items() if name != "graph")


def _mega(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / 1e6


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _head(names: Iterable[str]) -> list[str]:
    words = list(names)
    return [_line(words), "|" + "---|" * len(words)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
