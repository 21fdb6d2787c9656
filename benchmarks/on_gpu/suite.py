"""Running tests/gpu, and reading what pytest wrote about it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from on_gpu.results import Case

ROOT = Path(__file__).parents[2]
TESTS = Path("tests", "gpu")

_OUTCOMES = {"failure": "failed", "error": "error", "skipped": "skipped"}


def run(python: str = sys.executable, *, limit_s: float, select: str = "") -> list[Case]:
    """Run every test of tests/gpu in a process of its own; one that crashes is a `Case` too.

    Args:
        python: Interpreter that pytest is installed for.
        limit_s: Seconds after which it is ended.
        select: Which tests, as pytest's ``-k`` takes it; all of them if empty.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "junit.xml")
        command = [python, "-m", "pytest", str(TESTS), "-q", "-p", "no:cacheprovider"]
        # the family that keeps what a test records
        command += ["-o", "junit_family=xunit1", f"--junitxml={report}", "-k", select]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired:
            return [_broken(f"pytest was ended after {limit_s:.0f} s")]
        try:
            return read(report.read_text(encoding="utf-8"))
        except (OSError, ET.ParseError):
            said = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
            return [_broken(f"pytest ended with {done.returncode}: {said[-1]}")]


def read(report: str) -> list[Case]:
    """Read a JUnit report, as pytest writes it.

    Raises:
        ET.ParseError: It is no XML.
    """
    return [_case(element) for element in ET.fromstring(report).iter("testcase")]


def _case(element: ET.Element) -> Case:
    outcome, message = "passed", ""
    for tag, word in _OUTCOMES.items():
        if (why := element.find(tag)) is not None:
            outcome, message = word, _first_line(why)
    return Case(
        file=element.get("classname", "").rpartition(".")[2],
        name=element.get("name", ""),
        outcome=outcome,
        seconds=float(element.get("time", "0")),
        message=message,
        measured={
            found.get("name", ""): found.get("value", "") for found in element.iter("property")
        },
    )


def _first_line(why: ET.Element) -> str:
    text = why.get("message") or why.text or ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")


def _broken(message: str) -> Case:
    return Case(file=str(TESTS), name="pytest", outcome="error", message=message)
