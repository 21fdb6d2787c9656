from __future__ import annotations

import importlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from edgedeploy.optional import is_installed
from edgedeploy.types import Family, Variant
from tests.reporting.profiles import made

if TYPE_CHECKING:
    from edgedeploy.profiling.records import ProfileRecord

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"
draws = pytest.mark.skipif(not is_installed("vl_convert"), reason="needs the report extra")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("tradeoffs")


@pytest.fixture
def shipped(script: Any) -> Any:
    return script.facts.read(ROOT / "models")


def _desc(svg: str) -> str:
    return ElementTree.fromstring(svg).findtext(f"{SVG}desc") or ""


def _measured(folder: Path, name: str, ms: float, top1: float, **more: Any) -> ProfileRecord:
    side = int(name.split("_")[3])
    return made(
        folder,
        model=name,
        variant={"family": "mobilenet_v1", "alpha": 0.25, "resolution": side, "rho": side / 112},
        latency_ms__p50=ms,
        accuracy={"source": "eval", "top1": top1},
        **more,
    )


def test_the_committed_page_and_drawings_are_what_the_shipped_files_say(
    script: Any, shipped: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs" / "tradeoffs.md"
    status = script.main(["--models", str(ROOT / "models"), "--page", str(page), "--check"])
    assert (status, capsys.readouterr().out.count("\n")) == (0, 1)
    for plot in script.sections(shipped, None, None)["counted"].plots:
        assert _desc((page.parent / "images" / plot.file).read_text()) == plot.desc
    pictures = re.findall(r"\((images/.*?)\)", page.read_text())
    assert len(pictures) >= 3
    assert all((page.parent / picture).is_file() for picture in pictures)


def test_table_3_of_the_paper_comes_out_of_our_own_counts(script: Any) -> None:
    steps = script.counted.layer.steps()
    assert [round(step.multiply_adds / 1e6, 1) for step in steps] == [462.4, 52.3, 29.6, 15.1]
    assert [round(step.parameters / 1e6, 2) for step in steps] == [2.36, 0.27, 0.15, 0.15]
    for step in steps:
        adds, parameters = step.paper
        assert step.multiply_adds / 1e6 == pytest.approx(adds, rel=0.002)
        assert round(step.parameters / 1e6, 2) == parameters


def test_networks_that_are_not_trained_are_named_with_their_commands(
    script: Any, shipped: Any
) -> None:
    text = script.sections(shipped, None, None)["counted"].text
    for name in ("mobilenet_v1_1.00", "mobilenet_v2_0.50"):
        assert f"    python benchmarks/zoo.py cifar10-jpeg.zip --only {name}\n" in text
    assert "--only mobilenet_v1_0.25" not in text


def test_a_model_without_an_accuracy_is_named(script: Any, shipped: Any) -> None:
    first, *others = shipped
    text = script.sections([replace(first, top1={}), *others], None, None)["counted"].text
    assert f"Not evaluated, and so not drawn: `{first.name}`. Command not run:" in text
    whole = script.sections(shipped, None, None)["counted"].text
    assert "Not evaluated" not in whole


def test_models_without_any_accuracy_are_told(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = shutil.copytree(ROOT / "models", tmp_path / "models")
    (models / "accuracy.json").write_text('{"schema": "edgedeploy.accuracy/1", "models": {}}')
    page = shutil.copy(ROOT / "docs" / "tradeoffs.md", tmp_path)
    assert script.main(["--models", str(models), "--page", str(page)]) == 6
    told = capsys.readouterr().err
    assert "there is no accuracy of mobilenet_v1_0.50_112_cifar10, " in told
    assert "fix: run: edgedeploy build" in told


def test_tables_4_and_5_show_what_was_trained(script: Any, shipped: Any) -> None:
    shallow = replace(
        shipped[0],
        variant=Variant(Family.MOBILENET_V1_SHALLOW, 1.0, 112),
        top1={"ort-fp32": 0.9012},
    )
    text = script.counted.compared([*shipped, shallow], []).text
    (row,) = (line for line in text.splitlines() if line.startswith("| V1 shallow"))
    assert row == "| V1 shallow α 1 | 307.3 M | 307 M | 2.89 M | 2.9 M | 65.3 % | 90.12 % |"
    (other,) = (line for line in text.splitlines() if line.startswith("| V1 full"))
    assert other.endswith("| 71.7 % | – |")


def test_the_committed_counts_of_tables_4_and_5_are_ours(script: Any) -> None:
    page = (ROOT / "docs" / "tradeoffs.md").read_text()
    rows = [line for line in script.counted.compared([], []).text.splitlines() if " α " in line]
    assert len(rows) == 4
    assert all(row.rsplit("|", 2)[0] in page for row in rows)


def test_a_smaller_image_of_a_compared_network_is_not_its_accuracy(
    script: Any, shipped: Any
) -> None:
    variant = Variant(Family.MOBILENET_V1_SHALLOW, 1.0, 64)
    small = replace(shipped[0], variant=variant, rho=4 / 7, top1={"ort-fp32": 0.8})
    assert "80.00 %" not in script.counted.compared([small], []).text


def test_the_front_has_what_no_other_run_beats_in_both(script: Any) -> None:
    point = script.measured.Point
    best, slower, worse, twin = point(1, 0.8), point(2, 0.9), point(3, 0.85), point(2, 0.88)
    assert script.measured.front([worse, slower, twin, best]) == [best, slower]


def test_a_doubted_run_is_hollow_and_not_on_the_front(script: Any, tmp_path: Path) -> None:
    records = [
        _measured(tmp_path, "mobilenet_v1_0.25_112_cifar10", 0.5, 0.81),
        _measured(tmp_path, "mobilenet_v1_0.25_64_cifar10", 0.2, 0.77),
        _measured(
            tmp_path, "mobilenet_v1_0.25_96_cifar10", 0.1, 0.99,
            verdict={"level": "suspect", "reasons": ["other processes"]},
        ),
        _measured(
            tmp_path, "mobilenet_v1_0.25_80_cifar10", 0.1, 0.99,
            verdict={"level": "invalid", "reasons": ["nothing was answered"]},
        ),
    ]  # fmt: skip
    found = script.measured.section(records)
    (plot,) = (plot for plot in found.plots if plot.file == "tradeoffs-latency.svg")
    assert [point.x for point in plot.front] == [0.2, 0.5]
    points = [point for each in plot.series.values() for point in each]
    assert {(point.x, point.is_hollow) for point in points} == {
        (0.5, False), (0.2, False), (0.1, True),
    }  # fmt: skip
    assert "Hollow: 1 whose verdict is not `measured`." in found.text
    assert "0.25_80" not in found.text


def test_what_was_not_measured_says_the_command_and_the_reason(script: Any, tmp_path: Path) -> None:
    record = _measured(
        tmp_path, "mobilenet_v1_0.25_112_cifar10", 0.5, 0.81,
        energy_mj_per_inference=None, power=None, power_reason="no sensor: none here",
    )  # fmt: skip
    text = script.measured.section([record]).text
    assert (
        "Not measured: `edgedeploy profile --duration 3 -o profiles`, on a machine with a power"
        in text
    )
    assert "no sensor: none here" in text
    assert "--scenario offline --duration 3 -o profiles`." in text


def test_runs_without_an_accuracy_are_not_said_to_be_unmeasured(
    script: Any, tmp_path: Path
) -> None:
    record = _measured(tmp_path, "mobilenet_v1_0.25_112_cifar10", 0.5, 0.81)
    unknown = replace(record, document={**record.document, "accuracy": None})
    text = script.measured.section([unknown]).text.split("### ")[1]
    assert "Measured, and without an accuracy: mobilenet_v1_0.25_112_cifar10; `edgedeploy" in text
    assert "Not measured" not in text


def test_steps_of_the_offline_scenario_are_drawn_by_image(script: Any, tmp_path: Path) -> None:
    step = {"throughput_ips": 500.0, "count": 9, "window_s": 1.0, "samples_ns": ""}
    record = _measured(
        tmp_path, "mobilenet_v1_0.25_64_cifar10", 0.5, 0.81,
        scenario="offline",
        scenario_results={
            "batch": 1,
            "steps": [{**step, "batch": 1, "p50_ms": 2.0}, {**step, "batch": 8, "p50_ms": 8.0}],
        },
    )  # fmt: skip
    found = script.measured.section([record])
    (plot,) = found.plots
    (points,) = plot.series.values()
    assert [(point.x, point.y) for point in points] == [(1, 2.0), (8, 1.0)]
    assert "| 8 | 8 | 1 | 500 | measured |" in found.text


@draws
def test_a_drawing_says_what_it_shows_and_has_colours_for_both_schemes(
    script: Any, shipped: Any
) -> None:
    plot = script.sections(shipped, None, None)["counted"].plots[0]
    svg = plot.draw()
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    named = {root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")}
    assert named == {plot.title, plot.desc}
    style = root.findtext(f"{SVG}style") or ""
    light, dark = style.split("@media(prefers-color-scheme:dark)")
    for variable in set(re.findall(r"var\((--[a-z0-9-]+)\)", svg)):
        assert f"{variable}:#" in light
        assert f"{variable}:#" in dark


@draws
def test_the_page_is_written_with_its_drawings_and_parts_not_asked_for_stay(
    script: Any, tmp_path: Path
) -> None:
    models = shutil.copytree(ROOT / "models", tmp_path / "models")
    accuracy = json.loads((models / "accuracy.json").read_text())
    accuracy["models"]["mobilenet_v1_0.25_64_cifar10"]["ort-fp32"]["top1"] = 0.1234
    (models / "accuracy.json").write_text(json.dumps(accuracy))
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    parts = [f"<!-- {part}: begin -->\nold {part}\n<!-- {part}: end -->\n"
             for part in ("counted", "compared", "measured")]  # fmt: skip
    page.write_text("".join(parts))
    arguments = ["--models", str(models), "--page", str(page)]
    assert script.main([*arguments, "--check"]) == 1
    assert script.main(arguments) == 0
    assert script.main([*arguments, "--check"]) == 0
    text = page.read_text()
    assert "old counted" not in text
    assert "12.34 %" in text
    assert parts[1] in text
    assert parts[2] in text
    svg = (page.parent / "images" / "tradeoffs-multiply-adds.svg").read_text()
    assert "12.34 %" in _desc(svg)


def test_measuring_without_a_folder_for_it_is_refused(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        script.main(["--measure"])
    assert "--measure needs --profiles" in capsys.readouterr().err


def test_every_command_of_measuring_is_one_that_edgedeploy_takes(script: Any) -> None:
    import typer

    from edgedeploy.cli.app import app

    group: Any = typer.main.get_command(app)
    for text in script.measured.COMMANDS:
        arguments = text.format(profiles="profiles").split()
        name, command, rest = group.resolve_command(typer.Context(group), arguments)
        command.make_context(name, rest)
