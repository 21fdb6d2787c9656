from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.reporting import happenings, html
from tests.reporting.profiles import made

if TYPE_CHECKING:
    from pathlib import Path

SERIES = "eJwl2H18" * 500


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            {"streams": [{"count": 12, "p50_ms": 1.5}, {"count": 0, "p50_ms": None}]},
            "stream 1: 12 calls, p50 1.5 ms; stream 2: 0 calls",
        ),
        (
            {"steps": [{"batch": 8, "throughput_ips": 500.0, "count": 9, "samples_ns": SERIES}]},
            "batch 8: 500 images/s in 9 calls",
        ),
        (
            {"offered": 9, "unanswered": 0, "utilisation": 0.5, "wait_p50_ms": 0.25},
            "busy 50% of the time; 0 of 9 queries never answered; median wait 0.25 ms",
        ),
        (
            {"series_ns": {"due": SERIES, "start": SERIES}},
            "when each call was due and begun, and by which stream, is in the profile",
        ),
        ({"steps": SERIES, "streams": [SERIES], "frames": "\x1b[2J", "dropped": 1e300}, None),
        ({}, None),
    ],
)
def test_what_a_scenario_found_is_told_in_words(
    tmp_path: Path, found: dict[str, Any], words: str | None
) -> None:
    assert happenings.full(made(tmp_path, scenario_results=found)) == words


def test_no_series_is_written_into_the_page(tmp_path: Path) -> None:
    found = {"series_ns": {"due": SERIES}, "steps": [{"batch": 8, "samples_ns": SERIES}]}
    page = html.render([made(tmp_path, scenario="offline", scenario_results=found)])
    assert SERIES[:80] not in page
