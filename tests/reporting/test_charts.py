"""What each chart says, read from its words and its table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgedeploy.optional import is_installed
from edgedeploy.reporting import (
    heat_map,
    latency_charts,
    pareto,
    power_chart,
    settings,
    time_charts,
    vega,
)
from tests.profiling import turned
from tests.reporting import reported
from tests.reporting.profiles import made, sweep

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.reporting.figures import Figure

pytestmark = pytest.mark.skipif(not is_installed("vl_convert"), reason="needs the report extra")


def point(folder: Path, model: str, p99: float | None, top1: float) -> ProfileRecord:
    return made(folder, model=model, latency_ms__p99=p99, accuracy={"source": "eval", "top1": top1})


def front(records: list[ProfileRecord]) -> Figure:
    figure = pareto.chart(records, settings.setting(records[0]))
    assert figure is not None
    return figure


def test_a_run_that_another_beats_in_both_is_not_on_the_front(tmp_path: Path) -> None:
    runs = [("slow", 9.0, 0.8), ("fast", 1.0, 0.6), ("beaten", 5.0, 0.6), ("middle", 4.0, 0.7)]
    figure = front([point(tmp_path, *run) for run in runs])
    best = {row[0]: row[7] for row in figure.table.rows}
    assert best == {"fast": "yes", "middle": "yes", "beaten": "no", "slow": "yes"}
    assert [row[0] for row in figure.table.rows] == ["fast", "middle", "beaten", "slow"]
    assert "3 of them are best for their latency" in figure.alt


def test_a_point_without_p99_stands_at_its_p90_and_says_so(tmp_path: Path) -> None:
    figure = front([point(tmp_path, "short", None, 0.8)])
    assert figure.table.rows[0][3:5] == ("1.01", "p90")
    assert "hollow: p90" in figure.caption


@pytest.mark.parametrize(
    ("level", "mark", "dashed"), [("measured", "", 0), ("suspect", "?", 1), ("invalid", "!", 1)]
)
def test_a_number_that_is_not_measured_is_marked_in_every_comparison(
    tmp_path: Path, level: str, mark: str, dashed: int
) -> None:
    doubted = made(
        tmp_path,
        accuracy={"top1": 0.8},
        verdict={"level": level, "reasons": [] if level == "measured" else ["why"]},
        variant={"family": "mobilenet_v1", "alpha": 0.5, "resolution": 160, "rho": 0.714},
    )
    setting = settings.setting(doubted)
    scatter, heat = pareto.chart([doubted], setting), heat_map.chart([doubted], setting)
    assert scatter is not None
    assert heat is not None
    assert ("dashed: the verdict" in scatter.caption) == bool(dashed)
    assert scatter.svg.count('stroke-dasharray="2.5,2"') == dashed
    assert f">{mark}1</text>" in heat.svg
    assert (f"{mark} {level}" in heat.caption) == bool(mark)


def test_runs_without_an_accuracy_are_counted_and_not_drawn(tmp_path: Path) -> None:
    figure = front([point(tmp_path, "known", 2.0, 0.8), made(tmp_path, model="unknown")])
    assert "Not drawn: 1 without" in figure.caption
    assert pareto.chart([made(tmp_path)], settings.setting(made(tmp_path))) is None


def test_size_is_energy_only_where_every_point_has_one(tmp_path: Path) -> None:
    known = made(tmp_path, accuracy={"top1": 0.5}, energy_mj_per_inference=3.0)
    other = made(tmp_path, accuracy={"top1": 0.5})
    assert "more energy per inference" in front([known]).caption
    assert "more peak memory" in front([known, other]).caption


def test_a_cell_of_the_heat_map_holds_the_best_of_its_runs(tmp_path: Path) -> None:
    records = sweep(tmp_path)
    slower = made(tmp_path, variant=records[0].document["variant"], latency_ms__p50=9.0)
    figure = heat_map.chart([slower, *records], settings.setting(slower))
    assert figure is not None
    cells = {row[:3]: row[3] for row in figure.table.rows}
    assert len(cells) == 8
    assert cells["mobilenet_v1 ort fp32", 0.25, 0.857] == "0.857"
    assert heat_map.chart([made(tmp_path, variant=None)], settings.setting(slower)) is None


def test_settings_that_mean_different_things_have_charts_of_their_own(tmp_path: Path) -> None:
    records = [
        made(tmp_path),
        made(tmp_path, inside=["compute"]),
        made(tmp_path, device__power_mode="15W"),
        made(tmp_path, scenario="offline"),
        made(tmp_path, input_shape=[8, 3, 8, 8]),
        made(tmp_path, model="another"),
    ]
    assert [*map(len, settings.by_setting(records).values())] == [2, 1, 1, 1, 1]


def test_the_setting_that_compares_most_is_shown_first(tmp_path: Path) -> None:
    offline = [made(tmp_path, scenario="offline", model=name) for name in "ab"]
    single = [made(tmp_path, model=name) for name in "abc"]
    server = [made(tmp_path, scenario="server", model=name) for name in "ab"]
    found = settings.by_setting([*server, *offline, *single]).values()
    assert [*found] == [single, offline, server]


def test_statistics_are_of_the_record_and_never_of_what_is_drawn(tmp_path: Path) -> None:
    record = reported.full(tmp_path)
    figure = latency_charts.distribution(record, points=5)
    assert figure is not None
    rows = {row[0]: row for row in figure.table.rows}
    assert rows["max"][1] == f"{record.document['latency_ms']['max']:.2f}"
    assert "fewer than 6636 samples" in str(rows["p99.9"][3])
    assert rows["p99.9"][1] is None
    assert "of 900 calls" in figure.caption


def test_each_time_the_clock_was_slowed_is_one_mark(tmp_path: Path) -> None:
    record = reported.full(tmp_path)
    assert [mark["s"] for mark in latency_charts.throttle_marks(record)] == [2.0, 6.0]
    figure = latency_charts.series(record, points=24)
    assert figure is not None
    assert "Triangle at 2 s: cpu-throttle-alert (state 1)." in figure.caption
    assert latency_charts.throttle_marks(made(tmp_path)) == []


def test_a_round_that_was_slowed_is_marked_where_it_lies_among_the_others(tmp_path: Path) -> None:
    conditions = reported.full(tmp_path).document["conditions"]
    record, _ = turned.in_turns(
        tmp_path, 3, result=lambda turn: {"conditions": conditions} if turn.number == 2 else {}
    )
    before_s = record.document["rounds"][0]["window_ns"] / 1e9
    found = [mark["s"] for mark in latency_charts.throttle_marks(record)]
    assert found == pytest.approx([before_s + 2.0, before_s + 6.0])


def test_the_series_ends_where_the_window_ends_and_keeps_the_slowest_call(tmp_path: Path) -> None:
    record = reported.full(tmp_path)
    figure = latency_charts.series(record, points=24)
    assert figure is not None
    assert len(figure.table.rows) == 24
    assert float(str(figure.table.rows[-1][1])) < record.document["window_s"]
    slowest = max(float(str(row[5])) for row in figure.table.rows)
    assert slowest == pytest.approx(record.document["latency_ms"]["max"], rel=1e-3)


def test_power_is_drawn_from_before_the_window_to_after_it(tmp_path: Path) -> None:
    figure = power_chart.chart(reported.full(tmp_path), points=500)
    assert figure is not None
    assert "mean 6.1 W, idle 2.2 W" in figure.alt
    assert "VDD_IN is the module" in figure.caption
    assert figure.table.rows[0][0] == "-1"
    assert len(figure.table.rows) == 439


def test_without_a_trace_no_power_is_drawn(tmp_path: Path) -> None:
    about = {"mean_w": 5.0, "joules": 5.0, "window_ns": 10**9}
    for power in (None, about, {**about, "trace": {"t_ns": [1], "mw": []}}):
        assert power_chart.chart(made(tmp_path, power=power), points=9) is None


def test_shares_of_kinds_are_of_all_layers(tmp_path: Path) -> None:
    layers = [
        {"name": "a", "kind": "pointwise", "ms": 3.0},
        {"name": "b", "kind": "pointwise", "ms": 3.0},
        {"name": "c", "ms": 2.0},
        {"name": "never timed", "kind": "pointwise", "ms": None},
    ]
    figure = time_charts.kinds(made(tmp_path, layers=layers))
    assert figure is not None
    assert figure.table.rows == (("pointwise", "6", "75.0%", 2), ("other", "2", "25.0%", 1))
    assert time_charts.layers(made(tmp_path, layers=None)) is None


def test_all_layers_stand_in_the_table_and_the_dearest_are_drawn(tmp_path: Path) -> None:
    figure = time_charts.layers(reported.full(tmp_path))
    assert figure is not None
    assert len(figure.table.rows) == 51
    assert figure.alt.startswith("The 24 dearest of 51 layers")


def test_stages_have_their_shares(tmp_path: Path) -> None:
    figure = time_charts.stages(reported.full(tmp_path))
    assert figure is not None
    assert [row[2] for row in figure.table.rows] == ["4.0%", "95.4%", "0.6%"]


def test_what_a_graph_replaces_is_no_part_of_the_stages_sum(tmp_path: Path) -> None:
    record = reported.full(tmp_path)
    found = {**record.document["stages_ms"], "graph": {"p50": 0.36, "count": 100}}
    figure = time_charts.stages(replace(record, document={**record.document, "stages_ms": found}))
    assert figure is not None
    assert [row[2] for row in figure.table.rows] == ["43.1%", "instead of graph", "6.9%", "50.0%"]


def test_a_drawing_has_the_pages_colours_and_no_ids(tmp_path: Path) -> None:
    figure = latency_charts.series(reported.full(tmp_path), points=24)
    assert figure is not None
    assert "var(--series-0)" in figure.svg
    assert " id=" not in figure.svg
    assert "xlink" not in figure.svg
    assert figure.svg.count("<g") == figure.svg.count("</g>")


def test_words_in_a_drawing_are_never_shortened() -> None:
    spec = {
        "data": {"values": [{"t": 'opacity="1" 1.23456 <g> class="x"'}]},
        "mark": "text",
        "encoding": {"text": {"field": "t"}},
    }
    assert 'opacity="1" 1.23456 &lt;g&gt; class="x"' in vega.draw(spec, alt="words").replace(
        "&quot;", '"'
    )


@pytest.mark.parametrize("low", [0.0003, 0.04, 0.95, 7.9, 420.0])
@pytest.mark.parametrize("ratio", [1.01, 1.3, 2.5, 9.0, 80.0, 3000.0])
def test_an_axis_has_a_handful_of_round_ticks(low: float, ratio: float) -> None:
    found = vega.ticks(low, low * ratio)
    assert 3 <= len(found) <= 10
    assert found == sorted(set(found))
    assert low <= found[0]
    assert found[-1] <= low * ratio
