from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from edgedeploy.errors import FileError
from edgedeploy.training.spec import STYLE
from edgedeploy.types import Family, Variant
from edgedeploy.zoo import native_weights, networks, random_weights

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
    assert not training.done()
    _write(training)
    assert training.done()
    assert not any(step.done() for step in others)  # they know themselves


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"recipe": "paper"}, "with recipe = best, this one has paper"),
        ({"epochs": 7}, "with epochs = 30, this one has 7"),
        ({"fine_tune": 2}, "with fine_tune = 1, this one has 2"),
    ],
)
def test_weights_of_another_training_are_not_taken_for_this_one(
    zoo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    row = replace(zoo.GRID[0], fine_tune=1)
    _write(zoo.steps(row, Path("cifar10.zip"), threads=None)[0])
    recipe = asked.pop("recipe", "best")
    training, *_ = zoo.steps(replace(row, **asked), Path("cifar10.zip"), None, recipe)
    with pytest.raises(FileError, match=said) as caught:
        training.done()
    assert caught.value.fix.startswith("move the folder away: mv runs/mobilenet_v1_0.25_cifar10 ")


def test_fine_tuning_may_be_added_to_a_training_that_is_done(
    zoo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _write(zoo.steps(zoo.GRID[0], Path("cifar10.zip"), threads=None)[0])
    row = replace(zoo.GRID[0], fine_tune=2)
    assert not zoo.steps(row, Path("cifar10.zip"), threads=None)[0].done()


def _write(training: Any) -> None:
    """Write the weight files of a training, without having trained."""
    said = dict(training.origin)
    origin = {"fine_tune": str(said.pop("fine_tune")), "recipe": json.dumps(said)}
    network = networks.network(Family.MOBILENET_V1, alpha=0.05, classes=2, style=STYLE)
    for path in training.makes:
        weights = replace(random_weights.random(network, 0), origin=origin)
        native_weights.save(weights, path)


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
