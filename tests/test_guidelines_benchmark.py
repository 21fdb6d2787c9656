from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgedeploy.analyzing import prices
from edgedeploy.graph import cost, operations
from edgedeploy.types import Precision

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def guidelines(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("guidelines")


def speeds(guidelines: Any, experiment: Any) -> Any:
    """Of one backend, the first setting at full speed, each further one at 10 % less."""
    made = [
        guidelines.rounds.Speed(
            images_per_s=100.0 * share,
            spread=0.04,
            relative=share,
            runs={"float32": 10},
        )
        for share in [1 - number / 10 for number in range(len(experiment.settings))]
    ]
    return {("ort", Precision.FP32): made}


def test_the_settings_of_a_guideline_have_nearly_equal_multiply_adds(guidelines: Any) -> None:
    for experiment in guidelines.networks.experiments(4):
        work = [setting.multiply_adds for setting in experiment.settings]
        if experiment.rule == prices.CHANNELS:
            continue
        assert max(work) / min(work) < 1.06, experiment.title


def test_what_a_setting_says_of_its_multiply_adds_is_what_analyze_counts(guidelines: Any) -> None:
    for experiment in guidelines.networks.experiments(4):
        for setting in experiment.settings:
            channels = setting.model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
            found = cost.of(operations.from_onnx(setting.model, (1, channels, 4, 4)))
            assert cost.total(each.multiply_adds for each in found) == setting.multiply_adds


def test_the_settings_are_those_of_the_papers_tables(guidelines: Any) -> None:
    words = {
        experiment.rule: [setting.words for setting in experiment.settings]
        for experiment in guidelines.networks.experiments(4)
    }
    assert words[prices.WIDTHS] == ["1:1", "1:2", "1:6", "1:12"]
    assert words[prices.GROUPS] == ["1 group", "2 groups", "4 groups", "8 groups"]
    assert words[prices.FRAGMENTS] == [
        "1", "2 in a row", "4 in a row", "2 side by side", "4 side by side",
    ]  # fmt: skip
    assert words[prices.ELEMENTWISE] == ["neither", "ReLU", "shortcut", "ReLU and shortcut"]


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_an_experiment_runs_in_the_type_asked_for(guidelines: Any, precision: Precision) -> None:
    pytest.importorskip("onnxruntime")
    experiment = guidelines.networks.experiments(2)[3]
    found = guidelines.rounds.measure(experiment, "ort", precision, threads=1, rounds=2, turn_s=0)
    assert found[0].relative == 1
    kind = "int8" if precision is Precision.INT8 else "float32"
    assert [speed.runs for speed in found] == [{kind: 30}] * 4


def test_turns_see_who_is_faster_and_go_backwards_every_other_round(guidelines: Any) -> None:
    now, order = [0], []

    def takes(name: str, duration_ns: int) -> Any:
        def call() -> None:
            order.append(name)
            now[0] += duration_ns

        return call

    calls = [takes("a", 1000), takes("b", 4000)]
    times = guidelines.rounds.in_turns(calls, 2, 0, lambda: now[0])
    assert times.tolist() == [[1000, 4000], [1000, 4000]]
    assert order == ["a"] * 3 + ["b"] * 6 + ["a"] * 3


def test_tables_have_speed_spread_and_share(guidelines: Any) -> None:
    experiment = guidelines.networks.experiments(4)[0]
    lines = guidelines.table(experiment, speeds(guidelines, experiment)).splitlines()
    assert lines[0] == "|  | channels | multiply-adds | ort fp32 |"
    assert lines[2] == "| 1:1 | 128, 128 | 5.2 M | 100 ± 2.0%, **100%** |"
    assert lines[4] == "| 1:6 | 52, 312 | 5.2 M | 80 ± 2.0%, **80%** |"


def test_prices_are_of_all_but_baselines_and_rows(guidelines: Any) -> None:
    found = {each: speeds(guidelines, each) for each in guidelines.networks.experiments(4)}
    made = guidelines.prices_of(found)
    by_rule = {
        rule: [each.setting for each in made if each.rule == rule]
        for rule in (prices.WIDTHS, prices.FRAGMENTS)
    }
    assert by_rule == {
        prices.WIDTHS: ["1:2", "1:6", "1:12"],
        prices.FRAGMENTS: ["2 side by side", "4 side by side"],
    }
    (nearest,) = prices.Prices(date="x", prices=made).nearest(prices.WIDTHS, 6, "fp32")
    assert (nearest.setting, nearest.baseline, nearest.relative) == ("1:6", "1:1", 0.8)


def test_what_runs_in_another_type_has_no_price_and_says_so(guidelines: Any) -> None:
    experiments = guidelines.networks.experiments(4)
    found = {each: speeds(guidelines, each) for each in experiments}
    mixed = replace(found[experiments[0]]["ort", Precision.FP32][2], runs={"float32": 8, "int8": 2})
    found[experiments[0]]["ort", Precision.FP32][2] = mixed
    found[experiments[1]] = {("ort", Precision.INT8): found[experiments[1]]["ort", Precision.FP32]}
    made = guidelines.prices_of(found)
    assert [each.setting for each in made if each.rule == prices.WIDTHS] == ["1:2", "1:12"]
    assert not [each for each in made if each.rule == prices.GROUPS]
    cells = guidelines.table(experiments[0], found[experiments[0]]).splitlines()[2:]
    assert [cell.endswith("**† |") for cell in cells] == [False, False, True, False]
    said = guidelines.in_another_type(found)
    assert said[0] == (
        "† G1: widths of 1×1 convolutions, there and back, 1:6: ort runs 8 convolutions in "
        "float32, 2 convolutions in int8, not all in fp32; no price."
    )
    assert len(said) == 5


def test_a_baseline_in_another_type_has_no_prices_beside_it(guidelines: Any) -> None:
    experiment = guidelines.networks.experiments(4)[0]
    found = {experiment: speeds(guidelines, experiment)}
    made = found[experiment]["ort", Precision.FP32]
    made[0] = replace(made[0], runs={"int8": 10})
    assert guidelines.prices_of(found) == ()


def test_a_page_without_its_marks_is_refused_before_anything_is_measured(
    guidelines: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Prices\n\n<!-- measured: begin -->\n")
    assert guidelines.main(["-o", str(tmp_path / "out"), "--docs", str(page)]) == 6
    said = capsys.readouterr()
    assert "does not have <!-- measured: begin --> and then" in said.err
    assert "put the marks back" in said.err
    assert said.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_what_was_measured_goes_between_the_marks_of_the_page(
    guidelines: Any, tmp_path: Path
) -> None:
    pytest.importorskip("vl_convert")
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n")
    found = {each: speeds(guidelines, each) for each in guidelines.networks.experiments(4)}
    text = guidelines.write(found, "Measured today.", out=tmp_path / "out", docs=page)
    assert page.read_text(encoding="utf-8") == (
        f"before\n<!-- measured: begin -->\n\n{text}\n\n<!-- measured: end -->\nafter\n"
    )
    assert text.startswith("Measured today.\n\n![Speed of each setting")
    assert (tmp_path / "out" / "guidelines.md").read_text(encoding="utf-8") == f"{text}\n"
    assert (tmp_path / "docs" / "images" / "guidelines.svg").is_file()


def test_the_drawing_has_a_panel_for_each_experiment(guidelines: Any) -> None:
    pytest.importorskip("vl_convert")
    found = {each: speeds(guidelines, each) for each in guidelines.networks.experiments(4)}
    drawn = guidelines.picture(found)
    assert drawn.startswith("<svg ")
    for experiment in found:
        assert experiment.title in drawn
