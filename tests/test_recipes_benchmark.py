from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parents[1]


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("recipes")


@pytest.fixture
def question(recipes: Any) -> Any:
    return recipes.Question(
        data=Path("cifar10.zip"),
        out=Path("runs"),
        alpha=0.25,
        resolution=64,
        epochs=6,
        teacher=Path("large.safetensors"),
        threads=1,
    )


def test_every_command_is_one_that_edgedeploy_takes(recipes: Any, question: Any) -> None:
    from edgedeploy.cli.app import app

    group = typer.main.get_command(app)
    for way in recipes.WAYS:
        calls = recipes.commands(question, way, seed=1)
        assert [call[0] for call in calls] == ["train", "export", "build", "eval"]
        assert ("--teacher" in calls[0]) == way.distils
        for call in calls:
            name, command, rest = group.resolve_command(  # type: ignore[attr-defined]
                typer.Context(group), list(call)
            )
            command.make_context(name, rest)


def test_no_two_trainings_share_a_folder_and_none_goes_on_with_other_options(
    recipes: Any, question: Any
) -> None:
    others = ({"epochs": 7}, {"alpha": 0.5}, {"alpha": 0.501}, {"resolution": 32})
    calls = [
        recipes.commands(asked, way, seed)[0]
        for asked in (question, *(replace(question, **other) for other in others))
        for way in recipes.WAYS
        for seed in (1, 2)
    ]
    assert len({call[call.index("-o") + 1] for call in calls}) == len(calls) == 40


def test_the_first_recipe_is_what_the_others_are_set_beside(recipes: Any) -> None:
    best, paper, *_ = recipes.WAYS
    count = 10_000
    found = recipes.table(
        {best: [(0.70, count), (0.72, count)], paper: [(0.69, count), (0.70, count)]}, (1, 2)
    )
    *_, first, second = found.splitlines()
    assert first == "| best | 70.00 | 72.00 | – | – |"
    assert second.startswith("| paper | 69.00 | 70.00 | -1.50 | -2.7")
    assert second.endswith(" to -0.23 |")
