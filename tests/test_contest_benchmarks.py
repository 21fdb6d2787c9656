from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from edgedeploy.types import Family

ROOT = Path(__file__).parents[1]
COUNT = 10_000


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def contest() -> Any:
    return importlib.import_module("trainings.contest")


@pytest.fixture
def recipes() -> Any:
    return importlib.import_module("recipes")


@pytest.fixture
def shapes() -> Any:
    return importlib.import_module("shapes")


@pytest.fixture
def asked(contest: Any) -> Any:
    return contest.Conditions(
        data=Path("cifar10.zip"), out=Path("runs"), resolution=64, epochs=6, seeds=(1, 2), threads=1
    )


def everyone(recipes: Any, shapes: Any, alpha: float = 0.25) -> list[Any]:
    return [
        *recipes.contenders(alpha, Path("large.safetensors")),
        *(who for pair in shapes.pairs(alpha) for who in (pair.one, pair.other)),
    ]


def answers(contest: Any, *tops: float) -> tuple[Any, ...]:
    return tuple(contest.Answer(top1=top1, images=COUNT) for top1 in tops)


def test_every_command_is_one_that_edgedeploy_takes(
    contest: Any, recipes: Any, shapes: Any, asked: Any
) -> None:
    from edgedeploy.cli.app import app

    group = typer.main.get_command(app)
    for who in everyone(recipes, shapes):
        calls = contest.commands(asked, who, seed=1)
        assert [call[0] for call in calls] == ["train", "export", "build", "eval"]
        assert ("--teacher" in calls[0]) == (who.teacher is not None)
        for call in calls:
            name, command, rest = group.resolve_command(  # type: ignore[attr-defined]
                typer.Context(group), list(call)
            )
            command.make_context(name, rest)


def test_no_two_trainings_share_a_folder_and_none_goes_on_with_other_options(
    contest: Any, recipes: Any, shapes: Any, asked: Any
) -> None:
    trained = {
        (conditions, who, seed)
        for conditions in (asked, replace(asked, epochs=7), replace(asked, resolution=32))
        for alpha in (0.25, 0.5, 0.501)
        for who in everyone(recipes, shapes, alpha)
        for seed in asked.seeds
    }
    calls = [contest.commands(*one)[0] for one in trained]
    # V1 of a width by the best recipe stands in both contests, and is the same training
    assert len({call[call.index("-o") + 1] for call in calls}) == len(calls) == 3 * 3 * 7 * 2


def test_what_is_trained_already_is_not_trained_again(
    contest: Any, recipes: Any, asked: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = replace(asked, out=tmp_path)
    done: list[list[str]] = []

    class Ended:
        returncode = 0

    def run(command: list[str], *, check: bool) -> Ended:
        assert not check
        done.append(command[3:])
        if command[3] == "eval":
            Path(command[4]).mkdir(parents=True)
        return Ended()

    class Evaluated:
        top1 = 0.5
        count = COUNT

    monkeypatch.setattr(contest.subprocess, "run", run)
    monkeypatch.setattr(contest.evaluating, "read", lambda folder: Evaluated())
    best = recipes.contenders(0.25, None)[0]
    assert contest.answers(asked, best) == answers(contest, 0.5, 0.5)
    assert len(done) == 8
    assert contest.answers(asked, best) == answers(contest, 0.5, 0.5)
    assert len(done) == 8


def test_the_first_recipe_is_what_the_others_are_set_beside(contest: Any, recipes: Any) -> None:
    best, paper, *_ = recipes.contenders(0.25, None)
    found = recipes.table(
        {best: answers(contest, 0.70, 0.72), paper: answers(contest, 0.69, 0.70)}, (1, 2)
    )
    *_, first, second = found.splitlines()
    assert first == "| best | 70.00 | 72.00 | – | – |"
    assert second.startswith("| paper | 69.00 | 70.00 | -1.50 | -2.7")
    assert second.endswith(" to -0.23 |")


def test_the_shapes_are_those_of_the_papers_tables(shapes: Any) -> None:
    depthwise, thinner = shapes.pairs(1.0)
    assert (depthwise.one.family, depthwise.one.alpha) == (Family.MOBILENET_V1, 1.0)
    assert (depthwise.other.family, depthwise.other.alpha) == (Family.MOBILENET_V1_FULL, 1.0)
    assert (thinner.one.family, thinner.one.alpha) == (Family.MOBILENET_V1, 0.75)
    assert (thinner.other.family, thinner.other.alpha) == (Family.MOBILENET_V1_SHALLOW, 1.0)


def test_each_shape_stands_beside_its_own_pair_with_its_work(
    contest: Any, shapes: Any, asked: Any
) -> None:
    pairs = shapes.pairs(0.5)
    everybody = [who for pair in pairs for who in (pair.one, pair.other)]
    found = dict(
        zip(
            everybody,
            (answers(contest, top, top) for top in (0.70, 0.71, 0.68, 0.65)),
            strict=True,
        )
    )
    page = shapes.text(asked, pairs, found)
    rows = [line for line in page.splitlines() if line.startswith("| V1")]
    assert [row.split(" | ")[0] for row in rows] == [
        "| V1 α 0.5",
        "| V1 full α 0.5",
        "| V1 α 0.375",
        "| V1 shallow α 0.5",
    ]
    assert ["| – | – |" in row for row in rows] == [True, False, True, False]
    assert "| 71.00 | 71.00 | +1.00 |" in rows[1]
    assert "| 65.00 | 65.00 | -3.00 |" in rows[3]
    drawn = shapes.plot(asked, pairs, found)
    assert "V1 full α 0.5 71.0%, V1 α 0.5 70.0%" in drawn.desc
    (one, full), (thin, shallow) = drawn.series.values()
    assert full.x > 5 * one.x
    assert shallow.x == pytest.approx(thin.x, rel=0.15)
