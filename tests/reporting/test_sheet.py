from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from edgedeploy.reporting import sheet
from tests.reporting import reported
from tests.reporting.profiles import made

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord


def read(records: list[ProfileRecord]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(sheet.render(records))))


def test_every_record_is_a_line_with_raw_numbers(tmp_path: Path) -> None:
    lines = read([reported.full(tmp_path), reported.full(tmp_path)])
    assert len(lines) == 2
    line = lines[0]
    assert (line["model"], line["alpha"], line["energy_mj"]) == (
        "mobilenet_v2_1.00_224",
        "1.0",
        "48.8",
    )
    assert (line["calls"], line["verdict"], line["power_w"]) == ("900", "suspect", "6.1")
    assert line["verdict_reasons"] == "the clock was throttled"


def test_what_a_scenario_found_has_columns_of_numbers(tmp_path: Path) -> None:
    found = {"frames": 90, "dropped": 30, "deadline_ms": 33.3, "series_ns": {"due": "eJw"}}
    options = {"fps": 30.0}
    camera = made(tmp_path, scenario="camera", scenario_options=options, scenario_results=found)
    hostile = made(tmp_path, scenario="camera", scenario_results={"frames": "=1+1"})
    line, other = read([camera, hostile])
    assert (line["frames"], line["dropped"], line["deadline_ms"]) == ("90", "30", "33.3")
    assert (line["camera_fps"], line["utilisation"]) == ("30.0", "")
    assert not other["frames"]


def test_null_is_an_empty_cell(tmp_path: Path) -> None:
    (line,) = read([reported.bare(tmp_path)])
    for name in ("alpha", "p99_ms", "p50_low_ms", "peak_rss_mb", "energy_mj", "top1"):
        assert not line[name]
    assert line["source"] == "trtexec"


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    (line,) = read([made(tmp_path, model='=HYPERLINK("x"),2')])
    assert line["model"] == '\'=HYPERLINK("x"),2'


def test_a_negative_number_stays_a_number(tmp_path: Path) -> None:
    (line,) = read([made(tmp_path, energy_mj_per_inference=-0.5)])
    assert line["energy_mj"] == "-0.5"


def test_device_memory_stands_beside_what_it_is(tmp_path: Path) -> None:
    rule = "what this process holds on the GPU (NVML)"
    told = made(tmp_path, memory_mb__device=312.4, memory_mb__device_rule=rule)
    line, older = read([told, reported.bare(tmp_path)])
    assert (line["device_memory_mb"], line["device_memory_rule"]) == ("312.4", rule)
    assert (older["device_memory_mb"], older["device_memory_rule"]) == ("", "")
