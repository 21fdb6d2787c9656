"""Everything that needs a GPU: tests/gpu, then latency and agreement of MobileNets in TensorRT.

    python benchmarks/gpu_checks.py [--models DIR] [--images ZIP] [--out FILE] [--duration S]

Runs on a machine with an NVIDIA GPU and TensorRT or TensorRT-RTX, a Jetson too; elsewhere it says
what is missing and exits with 4 (no GPU) or 3 (no TensorRT). First tests/gpu, then each model in
FP32, FP16 and INT8, each with CUDA graphs off and on: bound calls of one image from host memory to
host memory, as `edgedeploy profile` times them. With IMAGES the share of pictures whose best answer
is that of the FP32 engine, and INT8 is calibrated on two fifths of them by the whole recipe;
without, on noise. Without MODELS the grid of V1 and V2 × α × resolution, with untrained weights.

Every test run, build and measurement is a process of its own: what fails or crashes becomes a row
that says so. FILE (JSON) has all samples; beside it, as .md, the rows for docs/gpu-checks.md.
Engines stay in the folder of FILE, so that a second run builds only what is missing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from on_gpu import jobs, plan, printing, suite
from on_gpu.results import Case, Checks, Machine, Row, to_json

from edgedeploy import pipeline
from edgedeploy.errors import EdgeDeployError
from edgedeploy.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; return 0, 1 if anything failed, 3 without TensorRT, 4 without a GPU."""
    options = _options(arguments)
    try:
        machine = Machine(**jobs.run({"do": "machine"}, limit_s=120))
    except jobs.NotDoneError as error:
        print(f"nothing was run: {error}", file=sys.stderr)
        return error.code
    print(printing.heading(machine), flush=True)
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    cases: list[Case] = []
    if not options.skip_tests:
        print("\nrunning tests/gpu …", flush=True)
        cases = suite.run(limit_s=options.tests_limit, select=options.select)
        print(printing.tests(cases), flush=True)
    checks = Checks(date=date, machine=machine, cases=cases, rows=[])
    _write(checks, options.out)
    try:
        checks = _measure(checks, options)
    except EdgeDeployError as error:
        print(f"no model was measured: {error}", file=sys.stderr)
        return error.exit_code
    print(f"\n{options.out} and {options.out.with_suffix('.md')} are written")
    return 1 if checks.failed() else 0


def _measure(checks: Checks, options: argparse.Namespace) -> Checks:
    """Print a line as each is measured, and write what there is after each model."""
    folder = options.out.parent
    if options.models is None:
        paths = plan.random_models(folder / "models", options.alphas, options.resolutions)
    else:
        paths = pipeline.find_models([options.models])
    rows: list[Row] = []
    for path in paths:
        print(f"\n{path.stem}\n{printing.columns()}", flush=True)
        for row in plan.rows(
            path,
            images=options.images,
            duration_s=options.duration,
            out=folder,
            do=jobs.run,
        ):
            print(printing.row(row), flush=True)
            rows.append(row)
        checks = Checks(date=checks.date, machine=checks.machine, cases=checks.cases, rows=rows)
        _write(checks, options.out)
    return checks


def _write(checks: Checks, out: Path) -> None:
    write_atomically(out, (json.dumps(to_json(checks)) + "\n").encode())
    write_atomically(out.with_suffix(".md"), printing.markdown(checks).encode())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=Path, help="folder of float ONNX files")
    parser.add_argument("--images", type=Path, help="labelled pictures, a folder or a zip")
    parser.add_argument("--out", type=Path, default=Path("build/gpu_checks/results.json"))
    parser.add_argument("--duration", type=float, default=5.0, help="seconds of calls in a row")
    parser.add_argument("--alphas", type=float, nargs="+", default=plan.ALPHAS)
    parser.add_argument("--resolutions", type=int, nargs="+", default=plan.RESOLUTIONS)
    parser.add_argument("--skip-tests", action="store_true", help="measure only")
    parser.add_argument("--select", default="", help="which tests, as pytest's -k takes it")
    parser.add_argument("--tests-limit", type=float, default=7200.0, help="seconds for the tests")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
