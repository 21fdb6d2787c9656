"""Outcomes of gates as JUnit XML, which CI servers show."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # only written, never read
from typing import TYPE_CHECKING

from edgedeploy.comparing.gates import FAILED, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.comparing.gates import Outcome


def render(outcomes: Sequence[Outcome], *, unknown_fails: bool) -> bytes:
    """Return one test suite: a case for each thing compared and each of its gates.

    Args:
        outcomes: In the order they are to stand in.
        unknown_fails: Whether what cannot be told is an error; else it is skipped.
    """
    unknown = sum(outcome.state == UNKNOWN for outcome in outcomes)
    suite = ET.Element(
        "testsuite",
        name="edgedeploy compare",
        tests=str(len(outcomes)),
        failures=str(sum(outcome.state == FAILED for outcome in outcomes)),
        errors=str(unknown if unknown_fails else 0),
        skipped=str(0 if unknown_fails else unknown),
    )
    for outcome in outcomes:
        case = ET.SubElement(suite, "testcase", classname=outcome.subject, name=outcome.gate)
        tag = {FAILED: "failure", UNKNOWN: "error" if unknown_fails else "skipped"}
        if outcome.state in tag:
            ET.SubElement(case, tag[outcome.state], message=outcome.reason)
        else:
            ET.SubElement(case, "system-out").text = outcome.reason
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
