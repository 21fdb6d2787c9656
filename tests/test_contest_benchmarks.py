from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from edgedeploy.errors import FileError
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
        *(who for pair in shapes.pairs(alpha).values() for who in (pair.one, pair.other)),
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
    full, thinner = (shapes.pairs(1.0)[number] for number in (4, 5))
    assert (full.one.family, full.one.alpha) == (Family.MOBILENET_V1, 1.0)
    assert (full.other.family, full.other.alpha) == (Family.MOBILENET_V1_FULL, 1.0)
    assert (thinner.one.family, thinner.one.alpha) == (Family.MOBILENET_V1, 0.75)
    assert (thinner.other.family, thinner.other.alpha) == (Family.MOBILENET_V1_SHALLOW, 1.0)


def test_each_shape_stands_beside_its_own_pair_with_its_work(
    contest: Any, shapes: Any, asked: Any
) -> None:
    pair = shapes.pairs(0.5)[5]
    found = shapes.text(asked, pair, answers(contest, 0.68, 0.70), answers(contest, 0.65, 0.67))
    first, second = (line for line in found.splitlines() if line.startswith("| V1"))
    assert first == "| V1 α 0.375 | 7.1 M | 0.47 M | 68.00 | 70.00 | – | – |"
    assert second.startswith("| V1 shallow α 0.5 | 6.7 M | 0.48 M | 65.00 | 67.00 | -3.00 | -4.3")


def test_how_the_two_learned_is_the_mean_of_the_logs_of_their_seeds(
    contest: Any, shapes: Any, asked: Any, tmp_path: Path
) -> None:
    asked = replace(asked, out=tmp_path)
    pair = shapes.pairs(0.5)[5]
    for seed, ends in ((1, (0.2, 0.6)), (2, (0.4, 0.7))):
        call = contest.commands(asked, pair.one, seed)[0]
        run = Path(call[call.index("-o") + 1])
        run.mkdir()
        log = "".join(f'{{"held_out_top1": {{"64": {top1}}}}}\n' for top1 in ends)
        (run / "log.jsonl").write_text(log)
    curve = contest.curve(asked, pair.one)
    assert curve == pytest.approx([0.3, 0.65])
    drawn = shapes.plot(pair, curve, [0.1, 0.5])
    assert drawn.series["V1 α 0.375"] == [(1, curve[0], "", False), (2, curve[1], "", False)]
    assert "V1 shallow α 0.5 10.0 % and 50.0 %" in drawn.desc
    with pytest.raises(FileError, match="the log of a training"):
        contest.curve(asked, pair.other)


def test_a_pair_fills_its_part_of_the_page_alone(
    contest: Any, shapes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("vl_convert", reason="needs the report extra")
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "tradeoffs.md").read_text())
    old, rest = page.read_text().split("<!-- shape-shallow: begin -->")
    monkeypatch.setattr(contest, "answers", lambda *_: answers(contest, 0.0123))
    monkeypatch.setattr(contest, "curve", lambda *_: [0.1, 0.2])
    assert shapes.main(["cifar10.zip", "--table", "5", "--page", str(page)]) == 0
    before, after = page.read_text().split("<!-- shape-shallow: begin -->")
    end = "<!-- shape-shallow: end -->"
    assert (before, after.split(end)[1]) == (old, rest.split(end)[1])
    assert "| V1 α 0.375 | 7.1 M | 0.47 M | 1.23 |" in after
    assert (tmp_path / "images" / "shape-shallow.svg").read_text().startswith("<svg ")
    page.write_text("no marks")
    assert shapes.main(["cifar10.zip", "--table", "5", "--page", str(page)]) != 0
    assert page.read_text() == "no marks"
