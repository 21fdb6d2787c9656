from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import typer

from edgedeploy.types import Family, Variant

ROOT = Path(__file__).parents[1]


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("zoo")


def test_the_grid_is_the_papers(zoo: Any) -> None:
    grid = {(row.family, row.alpha, side) for row in zoo.GRID for side in row.resolutions}
    v1 = {
        (Family.MOBILENET_V1.value, a, r) for a in (1.0, 0.75, 0.5, 0.25) for r in (112, 96, 80, 64)
    }
    v2 = {(Family.MOBILENET_V2.value, a, r) for a in (1.0, 0.5, 0.35) for r in (112, 64)}
    assert grid == v1 | v2


def test_what_is_in_the_models_folder_is_marked_as_shipped(zoo: Any) -> None:
    names = [path.stem for path in (ROOT / "models").glob("*_cifar10.onnx")]
    variants = [variant for variant in map(Variant.from_name, names) if variant is not None]
    there = {variant.width_name for variant in variants}
    assert there <= {row.name for row in zoo.GRID if row.ships}


def test_every_command_is_one_that_edgedeploy_takes(zoo: Any) -> None:
    from edgedeploy.cli.app import app

    group = typer.main.get_command(app)
    for row in (*zoo.GRID, *zoo.COMPARED):
        steps = zoo.steps(row, Path("cifar10.zip"), threads=1, recipe="paper")
        assert [step.arguments[0] for step in steps] == [
            "train", *["export"] * len(row.resolutions), *([] if row.compared else ["calibrate"]),
        ]  # fmt: skip
        for step in steps:
            name, command, rest = group.resolve_command(  # type: ignore[attr-defined]
                typer.Context(group), list(step.arguments)
            )
            command.make_context(name, rest)


def test_networks_that_are_only_compared_with_do_not_land_beside_those_that_ship(zoo: Any) -> None:
    for row in zoo.COMPARED:
        _, *exports = zoo.steps(row, Path("cifar10.zip"), threads=None)
        assert {step.arguments[-1] for step in exports} == {str(zoo.COMPARED_IN)}


def test_a_training_is_done_where_its_weights_are(
    zoo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    training, *others = zoo.steps(zoo.GRID[0], Path("cifar10.zip"), threads=None)
    assert not training.done
    for path in training.makes:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert training.done
    assert not any(step.done for step in others)  # they know themselves


def test_a_row_is_chosen_by_name_or_for_being_shipped(zoo: Any) -> None:
    assert zoo.chosen(["mobilenet_v2_1.00"], everything=False) == [zoo.GRID[-1]]
    assert all(row.ships for row in zoo.chosen([], everything=False))
    assert zoo.chosen([], everything=True) == list(zoo.GRID)
    with pytest.raises(SystemExit, match=r"no row is called v3; use one of: mobilenet_v1_0\.25"):
        zoo.chosen(["v3"], everything=False)


def test_a_step_that_fails_ends_it_with_its_own_status(
    zoo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["zoo.py", "nosuch.zip", "--threads", "1"])
    with pytest.raises(SystemExit) as ended:
        zoo.main()
    assert ended.value.code == 6
    assert "nosuch.zip" in capfd.readouterr().err
