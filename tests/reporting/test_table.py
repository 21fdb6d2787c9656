from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.profiling import records
from edgedeploy.reporting import document, notes, table
from tests.reporting.profiles import made, sweep

if TYPE_CHECKING:
    from pathlib import Path


def test_rows_are_sorted_by_model_with_numbers_as_numbers(tmp_path: Path) -> None:
    records = sweep(tmp_path)
    random.Random(3).shuffle(records)
    assert [(row.model, row.backend, row.precision) for row in table.rows(records)] == [
        ("mobilenet_v1_0.25_96_cifar10", "openvino", "fp32"),
        ("mobilenet_v1_0.25_96_cifar10", "openvino", "int8"),
        ("mobilenet_v1_0.25_96_cifar10", "ort", "fp32"),
        ("mobilenet_v1_0.25_96_cifar10", "ort", "int8"),
        ("mobilenet_v1_0.25_112_cifar10", "openvino", "fp32"),
        ("mobilenet_v1_0.25_112_cifar10", "openvino", "int8"),
        ("mobilenet_v1_0.25_112_cifar10", "ort", "fp32"),
        ("mobilenet_v1_0.25_112_cifar10", "ort", "int8"),
        ("my|net[red]", "ort", "fp32"),
    ]


def test_names_that_begin_with_numbers_sort_beside_those_that_do_not(tmp_path: Path) -> None:
    models = ["net", "9net", "10net", "net2"]
    rows = table.rows([made(tmp_path, model=model) for model in models])
    assert [row.model for row in rows] == ["9net", "10net", "net", "net2"]


def test_the_latest_record_of_a_key_counts_whatever_its_place(tmp_path: Path) -> None:
    new = made(tmp_path, created="2026-11-22T08:00:00Z", latency_ms__p50=2.0)
    old = made(tmp_path, created="2026-11-21T09:00:00Z", latency_ms__p50=1.0)
    for order in ([old, new], [new, old]):
        (row,) = table.rows(order)
        assert row.p50_ms == 2.0


def test_two_devices_are_two_rows_and_bring_a_column(tmp_path: Path) -> None:
    here = made(tmp_path)
    there = made(tmp_path, device__name="jetson-nano")
    rows = table.rows([here, there])
    assert [row.device for row in rows] == ["jetson-nano", "local"]
    assert "device" in [column.title for column in table.columns(rows)]
    assert "device" not in [column.title for column in table.columns(rows[:1])]


def test_two_power_modes_are_two_rows_and_bring_a_column(tmp_path: Path) -> None:
    weak = made(tmp_path, device__name="jetson-nano", device__power_mode="5W")
    older = made(tmp_path, device__name="jetson-nano", device__power_mode=None)
    strong = made(
        tmp_path,
        device__name="jetson-nano",
        device__power_mode="MAXN",
        verdict={"level": "suspect", "reasons": ["it was hot"]},
    )
    rows = table.rows([weak, strong, older])
    assert [row.power_mode for row in rows] == [None, "5W", "MAXN"]
    shown = table.columns(rows)
    assert "power mode" in [column.title for column in shown]
    assert any(" (MAXN): suspect: it was hot" in note for note in notes.footnotes(rows, shown))
    for few in (rows[:1], rows[1:2], table.rows([made(tmp_path), strong])):
        assert "power mode" not in [column.title for column in table.columns(few)]


@pytest.mark.parametrize(
    ("changes", "title", "cells"),
    [
        (
            {"scenario": "server", "scenario_options": {"rate": 50.0, "streams": 2}},
            "scenario",
            ["single", "server, 50/s, 2 streams"],
        ),
        ({"threads": 4}, "threads", ["2", "4"]),
        ({"input_shape": [1, 3, 16, 12]}, "input", ["8×8", "16×12"]),
    ],
)
def test_a_run_of_another_kind_is_a_row_of_its_own_and_brings_a_column(
    tmp_path: Path, changes: dict[str, Any], title: str, cells: list[str]
) -> None:
    later = "2026-11-23T08:00:00Z"
    rows = table.rows([made(tmp_path), made(tmp_path, created=later, **changes)])
    (column,) = (column for column in table.columns(rows) if column.title == title)
    assert [column.write(row) for row in rows] == cells
    assert title not in [column.title for column in table.columns(rows[:1])]


def test_models_of_several_sizes_bring_no_column(tmp_path: Path) -> None:
    other = made(tmp_path, model="other", input_shape=[1, 3, 16, 16])
    rows = table.rows([made(tmp_path), other])
    assert "input" not in [column.title for column in table.columns(rows)]


def test_a_batch_is_told_and_what_a_time_is_of(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"scenario": "offline", "input_shape": [8, 3, 8, 8]}
    rows = table.rows([made(tmp_path, **changes)])
    columns = table.columns(rows)
    (column,) = (column for column in columns if column.title == "scenario")
    assert column.write(rows[0]) == "offline, batch 8"
    assert "batch: p50 and p99 are of one call, with all images of its batch" in notes.footnotes(
        rows, columns
    )


def test_frames_that_were_dropped_stand_below_the_table(tmp_path: Path) -> None:
    found = {"frames": 99872, "dropped": 99134, "deadline_ms": 0.01, "deadline_misses": 738}
    camera = made(
        tmp_path, scenario="camera", scenario_options={"fps": 1e5}, scenario_results=found
    )
    (row,) = table.rows([camera])
    assert notes.remarks([row]) == [
        (
            "small ort fp32 (camera, 100000 fps): 99134 of 99872 frames dropped; "
            "738 of the 738 others missed their deadline of 0.01 ms"
        )
    ]


def test_how_busy_a_server_was_stands_below_the_table(tmp_path: Path) -> None:
    found = {"utilisation": 0.42, "offered": 50, "unanswered": 2}
    (row,) = table.rows([made(tmp_path, scenario="server", scenario_results=found)])
    assert notes.remarks([row]) == [
        "small ort fp32 (server): busy 42% of the time; 2 of 50 queries never answered"
    ]


def test_an_energy_is_told_with_its_sensor_and_how_far_it_may_be_off(tmp_path: Path) -> None:
    power = {"source": "rapl", "rule": "package-0", "uncertainty_pct": 0.5}
    rows = table.rows([made(tmp_path, power=power, energy_mj_per_inference=2.0)])
    assert "energy mJ: rapl: package-0, ± 0.5 %" in notes.footnotes(rows, table.columns(rows))


def test_a_sensor_that_failed_is_told_and_one_that_is_not_there_is_not(tmp_path: Path) -> None:
    failed = "tegrastats: it wrote no line that can be read"
    (row,) = table.rows([made(tmp_path, power_reason=failed)])
    assert notes.remarks([row]) == [f"energy not measured: {failed}"]
    (row,) = table.rows([made(tmp_path, power_reason="no sensor measured it: rapl: not here")])
    assert notes.remarks([row]) == []


def test_a_footnote_names_the_scenario_that_it_is_about(tmp_path: Path) -> None:
    verdict = {"level": "suspect", "reasons": ["the queue grew"]}
    (row,) = table.rows([made(tmp_path, scenario="server", verdict=verdict)])
    assert "? small ort fp32 (server): suspect: the queue grew" in notes.footnotes([row], [])


def test_a_record_that_says_less_is_a_row_too(tmp_path: Path) -> None:
    document = dict(made(tmp_path).document)
    del document["threads"], document["input_shape"]
    (row,) = table.rows([records.parse(document, name="older")])
    assert (row.scenario, row.side, row.threads) == ("single", None, None)


def test_rows_hold_values_and_not_text(tmp_path: Path) -> None:
    row = table.rows([made(tmp_path, accuracy={"source": "eval", "top1": 0.61})])[0]
    assert (row.top1, row.top1_shipped) == (0.61, None)
    assert (row.peak_rss_mb, row.p50_ms) == (90.0, 1.0)


def test_every_dash_has_a_footnote_and_each_reason_stands_once(tmp_path: Path) -> None:
    rows = table.rows(sweep(tmp_path))
    columns = table.columns(rows)
    told = notes.footnotes(rows, columns)
    for column in columns:
        if any(column.write(row) is None for row in rows):
            assert any(note.startswith(f"– {column.title}: ") for note in told)
    assert len(told) == len(set(told))


def test_the_median_of_a_doubtful_row_is_marked_and_explained(tmp_path: Path) -> None:
    reasons = ["the clock stood still"]
    row = table.rows(
        [made(tmp_path, verdict={"level": "invalid", "reasons": reasons}, latency_ms__p50=0.5)]
    )[0]
    columns = {column.title: column for column in table.columns([row])}
    assert columns["p50 ms"].write(row) == "!0.500"
    assert notes.footnotes([row], [columns["p50 ms"]]) == [
        "! small ort fp32: invalid: the clock stood still"
    ]


def test_footnotes_speak_of_visible_columns_only(tmp_path: Path) -> None:
    rows = table.rows([made(tmp_path, latency_ms__p99=None)])
    told = notes.footnotes(rows, table.columns(rows)[:1])
    assert told == []


def test_the_json_form_holds_each_record_whole(tmp_path: Path) -> None:
    record = made(tmp_path)
    assert document.document([record]) == {"profiles": [record.document]}


def test_device_memory_has_a_column_where_any_row_has_it_and_says_what_it_is(
    tmp_path: Path,
) -> None:
    plain = made(tmp_path)
    assert "device MB" not in [one.title for one in table.columns(table.rows([plain]))]
    rule = "what this process holds on the GPU (NVML)"
    told = made(tmp_path, model="b", memory_mb__device=312.44, memory_mb__device_rule=rule)
    rows = table.rows([plain, told])
    columns = table.columns(rows)
    (column,) = [one for one in columns if one.title == "device MB"]
    assert sorted(str(column.write(row)) for row in rows) == ["312.4", "None"]
    found = notes.dashes(rows, columns)
    assert f"device MB: {rule}" in found
    assert "– device MB: it runs on the CPU" in found


def test_a_record_that_says_nothing_of_device_memory_is_a_row_too(tmp_path: Path) -> None:
    document = dict(made(tmp_path).document)
    memory = {"peak_rss": 90.0, "engine": 0.5, "device": None}
    (row,) = table.rows([records.parse({**document, "memory_mb": memory}, name="older")])
    assert (row.device_mb, row.device_rule) == (None, None)
