"""How the results of build are printed: a line each, or one document; then what to know of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from edgedeploy.cli.output import error_document, print_failure, print_json, whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedeploy.building import BuildResult
    from edgedeploy.pipeline import Failure
    from edgedeploy.runtime.manifest import Manifest


def print_builds(results: Iterable[BuildResult | Failure], *, as_json: bool) -> int:
    """Print every result as it comes, and return the exit code of the first failure."""
    from edgedeploy.pipeline import Failure

    if as_json:
        return _print_document(results)
    code = 0
    told: set[str] = set()
    for result in results:
        if isinstance(result, Failure):
            code = code or result.error.exit_code
            print_failure(result.subject, result.error)
            continue
        print(_line(result))
        if not result.up_to_date:
            _print_advice(result, told)
    return code


def _print_document(results: Iterable[BuildResult | Failure]) -> int:
    """Print all results as one document, and return the exit code of the first failure.

    Raises:
        EndedError: An error or Ctrl-C ended it; its document has what was built before.
    """
    from edgedeploy.pipeline import Failure

    documents: list[dict[str, object]] = []
    code = 0
    with whole(lambda: {"artifacts": documents}):
        for result in results:
            if isinstance(result, Failure):
                code = code or result.error.exit_code
                documents.append({"subject": result.subject, "error": error_document(result.error)})
            else:
                documents.append(_document(result))
    print_json({"artifacts": documents})
    return code


def _print_advice(result: BuildResult, told: set[str]) -> None:
    """Print what has not been told yet: much of it is of the machine, and so of every result."""
    for row in result.advice:
        if row.problem not in told:
            print(f"  note: {row.problem}\n    {row.fix}", file=sys.stderr)
            told.add(row.problem)


def _line(result: BuildResult) -> str:
    manifest = result.manifest
    state = "up to date" if result.up_to_date else "prepared" if manifest.waiting else "built"
    if manifest.preprocessing is None:
        state += " (run and eval will need --mean and --std)"
    words = (f"{manifest.size_bytes / 1e6:.2f} MB", _layers(manifest))
    if manifest.waiting:
        board = manifest.runs_on
        words = (f"{board.get('device')} builds it with TensorRT {board.get('tensorrt')}", "")
    return ", ".join(filter(None, (f"{result.folder}  {state}", *words)))


def _layers(manifest: Manifest) -> str:
    """Say in which types the layers run, and how many were to run in INT8."""
    asked, runs = manifest.quantised, manifest.runs
    if asked is not None and not runs:
        return f"{asked} layers quantised, the engine does not tell what it runs"
    words = [f"{count} layers in {kind}" for kind, count in runs.items()]
    if asked is not None:
        others = [f"{count} layers in {kind}" for kind, count in runs.items() if kind != "int8"]
        words = [f"{runs.get('int8', 0)} of {asked} layers in int8", *others]
    return ", ".join(words)


def _document(result: BuildResult) -> dict[str, object]:
    from edgedeploy import advice

    manifest = result.manifest
    precision: dict[str, object] = {"asked": manifest.precision, "runs": manifest.runs}
    if manifest.quantised is not None:
        precision |= {"quantised": manifest.quantised, "fell_back": list(manifest.fell_back)}
    for key in ("int8_mode", "gpu_fallback", "tried"):
        if key in manifest.raw["precision"]:
            precision[key] = manifest.raw["precision"][key]
    return {
        "path": str(result.folder),
        "up_to_date": result.up_to_date,
        "model": manifest.model,
        "backend": manifest.backend,
        "precision": precision,
        "needs": manifest.needs,
        "waiting": manifest.waiting,
        "options": manifest.options,
        "size_bytes": manifest.size_bytes,
        "sha256": manifest.sha256,
        "advice": advice.to_json(result.advice),
    }
