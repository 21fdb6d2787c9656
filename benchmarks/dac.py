"""What `edgedeploy convert --method dac` does to a VGG: accuracy, error of the output, time.

    python benchmarks/dac.py cifar10-jpeg.zip -o runs/dac_vgg [--width 64] [--epochs 60]

Trains on `train/` of the zip (or goes on from the last whole epoch in the folder), then measures
on `test/`: one layer alone, the first k and the last k layers, whole networks for budgets of
multiply-adds with and without corrected biases, and the latency of some of them on ONNX Runtime
and OpenVINO. What is measured already is not measured again. Writes `dac.md` and three drawings
to the folder; with `--docs docs/dac.md` the tables go between the marks there, and the drawings to
`images/` beside it. `--train-only` stops after the training, which may be done on a GPU elsewhere:
`vgg.onnx` is all that the rest needs. Remove `measured.json` there when the conversion itself has
changed.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from cifar_vgg import drawing, timing
from cifar_vgg.training import Recipe, recipe_of, to_onnx, train
from cifar_vgg.trials import Asked, Bench
from shipped import pages

from edgedeploy.errors import EdgeDeployError, UsageError
from edgedeploy.files import write_atomically
from edgedeploy.images import open_images
from edgedeploy.meters import cpu
from edgedeploy.runtime.cpu import physical_cores
from edgedeploy.training.heap import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar_vgg.trials import Found

    from edgedeploy.images import ImageSet

_FIRST_RANKS = (1, 2, 3, 4, 5)
_TARGETS = (0.8, 0.6, 0.47, 0.35, 0.25)
_TIMED = (0.6, 0.35)
_UNLABELLED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A section of what was measured: its Markdown, and its drawings by file name."""

    text: str
    drawings: dict[str, str]


def one_layer(bench: Bench) -> Part:
    """The first layer at every low rank, the last one at rank 1."""
    first, last = bench.layers[0], bench.layers[-1]
    asked = [{first: rank} for rank in _FIRST_RANKS] + [{last: 1}]
    rows = [["none", "–", "–", "–", *_answers(bench.measure(Asked(ranks={})))]]
    for ranks in asked:
        ((name, rank),) = ranks.items()
        found = bench.measure(Asked(ranks=ranks))
        errors = [f"{found.weight_errors[name]:.1%}", f"{found.output_error:.1%}"]
        rows.append([name, str(rank), *errors, *_answers(found)])
    head = ("layer converted", "rank", "weight error", "output error", "top-1", "images")
    return Part(text=pages.table(head, rows), drawings={})


def first_and_last(bench: Bench, ranks: Sequence[int], samples: int) -> Part:
    """The first k layers against the last k."""
    layers, series, rows = bench.layers, {}, []
    whole = bench.measure(Asked(ranks={}), samples=samples)
    for rank in ranks:
        pairs = []
        for k in range(1, len(layers) + 1):
            ends = (layers[:k], layers[-k:])
            pairs.append(
                [bench.measure(Asked(ranks=dict.fromkeys(e, rank)), samples=samples) for e in ends]
            )
            first, last = pairs[-1]
            rows.append(
                [str(rank), str(k), f"{first.top1:.1%}", f"{last.top1:.1%}"]
                + [f"{found.remains:.1%}" for found in (first, last)]
            )
        for number, name in enumerate(("first k", "last k")):
            points = [(0.0, whole.top1)]
            points += [(float(k), pair[number].top1) for k, pair in enumerate(pairs, start=1)]
            series[f"{name} layers, rank {rank}"] = points
    head = ("rank", "k", "first k: top-1", "last k: top-1", "first k: work", "last k: work")
    alt = "Top-1 against the number of layers converted, from the front and from the back"
    drawn = drawing.lines(series, x="layers converted (k)", y="top-1", alt=alt)
    return Part(
        text=f"![{alt}.](images/dac-layers.svg)\n\n{pages.table(head, rows)}\n\n"
        f"{samples} test images; the network as it was: {whole.top1:.1%}.",
        drawings={"dac-layers.svg": drawn},
    )


def budgets(bench: Bench) -> Part:
    """Whole networks: one rank for all, and ranks chosen for a budget; both ways of biases."""
    ways = {f"rank {rank}": Asked(ranks=dict.fromkeys(bench.layers, rank)) for rank in _FIRST_RANKS}
    ways |= {f"target {share:g}": Asked(ranks={}, target=share) for share in _TARGETS}
    rows = []
    whole = bench.measure(Asked(ranks={}))
    names = ("one rank", "one rank, biases corrected", "budget", "budget, biases corrected")
    right = {name: [(1.0, whole.top1)] for name in names}
    errors: dict[str, list[tuple[float, float]]] = {"one rank": [], "budget": []}
    for name, asked in ways.items():
        try:
            plain = bench.measure(asked)
        except UsageError as error:  # as a user sees it: the first layers are spared
            rows.append([name, f"out of reach: {error.problem}", *["–"] * 4])
            continue
        corrected = bench.measure(
            Asked(ranks=asked.ranks, target=asked.target, corrected=True)
            if asked.target is None
            else Asked(ranks=plain.ranks, corrected=True)
        )
        rows.append(
            [name, f"{plain.remains:.1%}", f"{plain.output_error:.1%}"]
            + [f"{found.top1:.2%}" for found in (plain, corrected)]
            + [_ranks(plain, bench.layers)]
        )
        kind = "one rank" if asked.target is None else "budget"
        right[kind].append((plain.remains, plain.top1))
        right[f"{kind}, biases corrected"].append((corrected.remains, corrected.top1))
        errors[kind].append((plain.remains, plain.output_error))
    head = ("way", "work left", "output error", "top-1", "top-1, biases corrected", "ranks")
    across = "share of the multiply-adds that remain"
    alts = ("Top-1 against the work that remains", "Output error against the work that remains")
    drawings = {
        "dac-budget.svg": drawing.lines(
            {name: sorted(points) for name, points in right.items()},
            x=across, y="top-1", alt=alts[0], x_format=".0%",
        ),
        "dac-error.svg": drawing.lines(
            {name: sorted(points) for name, points in errors.items()},
            x=across, y="error of the output on noise", alt=alts[1], x_format=".0%",
        ),
    }  # fmt: skip
    pictures = "\n\n".join(
        f"![{alt}.](images/{name})" for alt, name in zip(alts, drawings, strict=True)
    )
    return Part(
        text=f"{pictures}\n\n{pages.table(head, rows)}\n\nAll test images ({whole.count}); "
        f"biases are corrected on {_UNLABELLED} unlabelled training images.",
        drawings=drawings,
    )


def latencies(bench: Bench, model: Path, *, duration_s: float, threads: int) -> Part:
    """FLOPs saved against time saved, measured in turns."""
    rows = []
    for share in _TIMED:
        asked = Asked(ranks={}, target=share)
        after = bench.write(asked, model.with_name(f"vgg_dac_{share:g}.onnx"))
        for backend in ("ort", "openvino"):
            found = timing.compare(
                model,
                after,
                backend,
                out=model.parent / "build",
                duration_s=duration_s,
                threads=threads,
            )
            rows.append(
                [f"target {share:g}", backend, f"{bench.measure(asked).remains:.1%}"]
                + [f"{ms:.3f}" for ms in (found.before, found.after)]
                + [f"{found.after / found.before:.1%}", " / ".join(found.levels)]
            )
    head = (
        "way",
        "backend",
        "work left",
        "p50 before, ms",
        "p50 after, ms",
        "time left",
        "verdicts",
    )
    return Part(text=pages.table(head, rows), drawings={})


def _answers(found: Found) -> list[str]:
    return [f"{found.top1:.2%}", str(found.count)]


def _ranks(found: Found, layers: Sequence[str]) -> str:
    return " ".join(str(found.ranks.get(layer, "–")) for layer in layers)


def trained(images: ImageSet, recipe: Recipe, out: Path, device: torch.device) -> Path:
    """Train, unless it was done, and return the ONNX file."""
    path = out / "vgg.onnx"
    if recipe_of(path) != recipe:
        network = train(images, recipe, out, device)
        labels = tuple(name for _, name in sorted(images.classes.items()))
        write_atomically(path, to_onnx(network, labels, recipe))
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure and write the page; return the exit status."""
    options = _options(arguments)
    try:
        _run(options)
    except EdgeDeployError as error:
        print(f"{error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.docs is not None:
        pages.filled(options.docs, {"measured": ""})  # whether it can be, before hours of work
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    images = _chosen(options.data / "train", options.train_images)
    recipe = Recipe(
        images=len(images.entries),
        images_sha256=images.digest(),
        width=options.width,
        epochs=options.epochs,
        seed=options.seed,
    )
    model = trained(images, recipe, options.out, torch.device(options.device))
    print(f"{model} is trained", file=sys.stderr)
    if options.train_only:
        return
    test = _chosen(options.data / "test", options.test_images)
    bench = Bench(model, test, images.evenly(_UNLABELLED), threads=options.threads)
    parts = {
        "One layer alone": one_layer(bench),
        "The first k layers, the last k layers": first_and_last(
            bench, options.ranks, options.sweep_images
        ),
        "Whole networks": budgets(bench),
        "Time": latencies(bench, model, duration_s=options.duration, threads=options.threads),
    }
    _write(parts, recipe, options)


def _write(parts: dict[str, Part], recipe: Recipe, options: argparse.Namespace) -> None:
    text = "\n\n".join(
        [
            conditions(recipe, options),
            *(f"### {name}\n\n{part.text}" for name, part in parts.items()),
        ]
    )
    pictures = options.docs.parent / "images" if options.docs else options.out / "images"
    for part in parts.values():
        for name, drawn in part.drawings.items():
            write_atomically(pictures / name, drawn.encode())
    write_atomically(options.out / "dac.md", f"{text}\n".encode())
    if options.docs:
        write_atomically(options.docs, pages.filled(options.docs, {"measured": text}).encode())
    print(text)


def conditions(recipe: Recipe, options: argparse.Namespace) -> str:
    """Return when, how and on what it was measured."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    fewer = "".join(
        f" --{which}-images {count}"
        for which, count in (("train", options.train_images), ("test", options.test_images))
        if count is not None
    )
    return (
        f"Measured {today} by `benchmarks/dac.py --width {recipe.width} --epochs {recipe.epochs} "
        f"--seed {recipe.seed}{fewer}` on {cpu.read().model}, {options.threads} threads."
    )


def _chosen(source: Path, count: int | None) -> ImageSet:
    images = open_images(source)
    return images if count is None else images.evenly(count)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder or zip with train/ and test/")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/dac_vgg"))
    parser.add_argument("--width", type=int, default=64, help="channels of conv1; 64 is VGG-16")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="what trains: cpu or cuda")
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--train-images", type=int, help="fewer, to try it")
    parser.add_argument("--test-images", type=int, help="fewer, to try it")
    parser.add_argument("--sweep-images", type=int, default=2000, help="of the k-layer sweeps")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 5], help="of those sweeps")
    parser.add_argument("--duration", type=float, default=10.0, help="seconds a latency takes")
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--docs", type=Path, help="page to write the tables into")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
