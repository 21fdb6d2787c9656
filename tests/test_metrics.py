from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy import metrics
from edgedeploy.metrics import METRICS, Reading
from tests.comparing.measured import profile

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, name: str, **changes: Any) -> Reading:
    return metrics.read(profile(folder, **changes).document, METRICS[name])


def test_every_metric_is_read_or_has_a_reason(tmp_path: Path) -> None:
    document = profile(tmp_path).document
    for metric in METRICS.values():
        reading = metrics.read(document, metric)
        assert (reading.value is None) != (reading.reason is None)


def test_values_come_in_the_unit_of_their_metric(tmp_path: Path) -> None:
    assert read(tmp_path, "size", artifact__size_bytes=2_500_000).value == 2.5
    assert read(tmp_path, "peak_rss", memory_mb__peak_rss=91.5).value == 91.5
    assert read(tmp_path, "top1", accuracy={"top1": 0.61}).value == 0.61
    assert read(tmp_path, "energy", energy_mj_per_inference=3).value == 3
    assert read(tmp_path, "fps", throughput_ips=30).value == 30
    assert read(tmp_path, "multiply_adds", cost={"multiply_adds": 569_000_000}).value == 569


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("p99", {"latency_ms__p99": None, "reasons": {"latency_ms.p99": "few"}}, "few"),
        ("p99", {"latency_ms__p99": None, "reasons": None}, "not in the profile"),
        ("energy", {"power_reason": "no sensor"}, "no sensor"),
        ("top1", {"accuracy": None, "reasons": {"accuracy": "not evaluated"}}, "not evaluated"),
        (
            "agreement",
            {"accuracy": {"top1": 1}, "reasons": {"accuracy": "stale"}},
            "not in the profile",
        ),
        ("p99", {"latency_ms__p99": None, "reasons": {"latency_ms.p99": "\x1b"}}, "not in the"),
        ("int8_layers", {"artifact__runs": {"int8": "many"}}, "does not tell its layers"),
        ("int8_layers", {"artifact__runs": {"int8": 10**400}}, "does not tell its layers"),
        ("p97", {"latency_ms__p97": None, "reasons": {}}, "not in the profile"),
    ],
)
def test_what_is_not_there_or_no_number_has_a_reason(
    tmp_path: Path, name: str, changes: dict[str, Any], reason: str
) -> None:
    reading = read(tmp_path, name, **changes)
    assert reading.value is None
    assert reason in str(reading.reason)
