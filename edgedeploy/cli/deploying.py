"""Commands that use engines: run, eval."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedeploy.cli import options
from edgedeploy.cli.output import (
    JsonFlag,
    error_document,
    print_error,
    print_json,
    print_skipped,
    print_table,
    progress,
    skipped_documents,
    whole,
)
from edgedeploy.errors import FileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedeploy.evaluating import Evaluation
    from edgedeploy.labelling import ClassOffset


def register(app: typer.Typer) -> None:
    """Add this file's commands to ``app``."""
    app.command()(run)
    app.command(name="eval")(evaluate)


def run(
    artifact: Annotated[Path, typer.Argument(help="An artifact, or a folder of one model's.")],
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    top: Annotated[int, typer.Option(min=1, help="Answers per picture.")] = 5,
    backend: Annotated[str | None, typer.Option(help="Only this backend.")] = None,
    precision: Annotated[str | None, typer.Option(help="Only this precision.")] = None,
    mean: options.Mean = None,
    std: options.Std = None,
    labels: options.Labels = None,
    threads: options.Threads = None,
    json: JsonFlag = False,
) -> None:
    """Classify pictures with the best engine that loads here."""
    from edgedeploy import Runtime
    from edgedeploy.images import read_image

    hints = options.hints(mean, std, labels)
    documents: list[dict[str, Any]] = []
    failed: list[FileError] = []
    with Runtime.load(
        str(artifact),
        backend=backend,
        precision=precision,
        threads=threads,
        preprocessing=hints.preprocessing,
        labels=hints.labels,
    ) as runtime:
        if not json:
            _print_choice(runtime.info)
        for path in images:
            try:
                predictions = runtime.classify(read_image(path), top=top)
            except FileError as error:
                failed.append(error)
                documents.append({"image": str(path), "error": error_document(error)})
                if not json:
                    print_error(error, as_json=False)
                continue
            documents.append(
                {"image": str(path), "predictions": [p._asdict() for p in predictions]}
            )
            if not json:
                print(path)
                for p in predictions:
                    print(f"  {p.score:6.1%}  {p.index:4}  {p.label or ''}".rstrip())
        if json:
            print_json({"runtime": runtime.info, "results": documents})
    if failed:
        raise typer.Exit(failed[0].exit_code)


def _print_choice(info: dict[str, Any]) -> None:
    """Say on stderr which engine answers, and which could not."""
    print(f"{info['artifact']}: {info['why']}", file=sys.stderr)
    for left in info["passed_over"]:
        if "ranks behind" not in left["reason"]:
            print(f"not {left['artifact']}: {left['reason']}", file=sys.stderr)


def evaluate(
    data: options.Data,
    artifacts: options.Artifacts = None,
    samples: options.Samples = None,
    every: options.Every = None,
    class_offset: Annotated[
        str, typer.Option(help="What to add to a folder's index: auto, or a number.")
    ] = "auto",
    mean: options.Mean = None,
    std: options.Std = None,
    labels: options.Labels = None,
    threads: options.Threads = None,
    json: JsonFlag = False,
) -> None:
    """Measure top-1, top-5 and agreement with FP32 on labelled images."""
    from edgedeploy import pipeline

    failures: list[pipeline.Failure] = []
    evaluations: list[tuple[Path, Evaluation]] = []

    def skip(failure: pipeline.Failure) -> None:
        failures.append(failure)
        print_skipped(failure)

    def document() -> dict[str, Any]:
        found = [_document(path, evaluation) for path, evaluation in evaluations]
        return {"evaluations": found, "skipped": skipped_documents(failures)}

    with whole(document if json else None):
        with progress("evaluating") as moved:
            evaluations += pipeline.evaluate(
                pipeline.find_artifacts(artifacts or []),
                options.chosen_images(data, samples, every),
                class_offset=_offset(class_offset),
                hints=options.hints(mean, std, labels),
                threads=threads,
                skip=skip if pipeline.is_sweep(artifacts or []) else None,
                progress=moved,
            )
        if failures and not evaluations:
            raise failures[0].error
    if json:
        print_json(document())
    else:
        _print_evaluations(evaluations)
    if code := pipeline.sweep_code(failures):
        raise typer.Exit(code)


def _print_evaluations(evaluations: Sequence[tuple[Path, Evaluation]]) -> None:
    columns = ("artifact", "top-1", "top-5", "agreement", "images", "offset")
    print_table(
        columns,
        [
            (path, _share(e.top1), _share(e.top5), _share(e.agreement), e.count, e.class_offset)
            for path, e in evaluations
        ],
    )


def _offset(text: str) -> ClassOffset:
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(
            f"--class-offset is {text!r}", fix="pass auto or a whole number such as 1"
        ) from error


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def _document(path: Path, evaluation: Evaluation) -> dict[str, Any]:
    from edgedeploy.evaluating import to_json

    return {"artifact": str(path), **to_json(evaluation)}
