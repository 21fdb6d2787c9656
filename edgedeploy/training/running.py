"""Train one network for several resolutions, then, if asked, at each of them alone."""

from __future__ import annotations

import json
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING

import torch

from edgedeploy.errors import FileError
from edgedeploy.training import checkpoints, teaching
from edgedeploy.training.data import packed
from edgedeploy.training.events import curves
from edgedeploy.training.locking import alone
from edgedeploy.training.loop import BEST, Run, Setup, held_out_top1, measure_norms
from edgedeploy.training.spec import (
    RULE,
    STYLE,
    fine_tuning,
    fine_tuning_name,
    identity,
    main_phase,
)
from edgedeploy.types import Variant
from edgedeploy.zoo import native_weights, networks
from edgedeploy.zoo.torch_module import NetworkModule, tensors
from edgedeploy.zoo.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.images import ImageSet
    from edgedeploy.training.spec import EpochRecord, Phase, TrainSpec


def train(
    images: ImageSet,
    spec: TrainSpec,
    out: Path,
    *,
    device: torch.device | None = None,
    step: Callable[[int, int], None] = lambda done, total: None,
    epoch_done: Callable[[EpochRecord], None] = lambda record: None,
    clock_ns: Callable[[], int] = perf_counter_ns,
) -> tuple[Path, ...]:
    """Train, or go on from the last whole epoch in ``out``, and write one weight file a resolution.

    Args:
        images: Labelled pictures.
        spec: What to train.
        out: Folder of the run: checkpoints, ``log.jsonl``, event files and the weight files,
            ``<variant>_<tag>.safetensors``; a fine-tuning has a folder of its own inside.
        device: Where to train; None: the GPU that torch sees, else the CPU.
        step: Called with (steps done, steps in all) after every batch.
        epoch_done: Called after every epoch, with it kept.
        clock_ns: Monotonic clock in nanoseconds; tests pass a fake.

    Returns:
        The weight files, one per resolution, in the order of ``spec.resolutions``. Without
        fine-tuning they differ in batch norm's statistics only, which are measured at that
        resolution on training images.

    Raises:
        FileError: ``out`` holds another run, another training writes there, or it is damaged; or
            the teacher cannot be read.
        UsageError: Too few images, a teacher that does not fit, or a training that diverged.
        MissingDependencyError: safetensors, tensorboard or filelock is not installed.
    """
    _require_as_fine_tuned(spec, out)
    setup = _setup(images, spec, device or default_device(), clock_ns)
    tally = _Tally(
        step, setup.batches * (spec.recipe.epochs + spec.fine_tune * len(spec.resolutions))
    )
    trained = partial(_trained, setup, tally=tally, epoch_done=epoch_done)
    with alone(out):
        best = trained(main_phase(spec), out, start=None)
        paths = []
        for resolution in spec.resolutions:
            chosen = best
            if spec.fine_tune:
                phase = fine_tuning(spec, resolution)
                chosen = trained(phase, out / phase.name, start=best)
            paths.append(_write(setup, resolution, chosen, images, out))
    return tuple(paths)


def default_device() -> torch.device:
    """Return the GPU that torch sees, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _require_as_fine_tuned(spec: TrainSpec, out: Path) -> None:
    """Refuse to write what is not fine-tuned over what is."""
    tuned = [r for r in spec.resolutions if (out / fine_tuning_name(r) / BEST).exists()]
    if tuned and not spec.fine_tune:
        raise FileError(
            f"{out} holds a run that was fine-tuned at {', '.join(map(str, tuned))} pixels, "
            "this one has no fine-tuning and would replace its weights",
            fix="pass --fine-tune as before, or choose another folder with -o",
        )


class _Tally:
    """Steps done over all phases, those of an earlier, broken run included."""

    def __init__(self, step: Callable[[int, int], None], total: int) -> None:
        self._step, self._total, self._done = step, total, 0

    def skip(self, steps: int) -> None:
        self._done += steps

    def __call__(self) -> None:
        self._done += 1
        self._step(self._done, self._total)


def _setup(
    images: ImageSet, spec: TrainSpec, device: torch.device, clock_ns: Callable[[], int]
) -> Setup:
    classes = len(_labels(images))
    teacher = None
    if spec.distillation is not None:
        teacher = teaching.load(spec.distillation.teacher, classes=classes, device=device)
    data = packed(images, spec, device)
    torch.manual_seed(spec.seed)
    network = networks.network(spec.family, alpha=spec.alpha, classes=classes, style=STYLE)
    module = NetworkModule(network)
    # torch annotates the other forms of to() only
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Setup(spec=spec, module=module, data=data, teacher=teacher, clock_ns=clock_ns)


def _trained(
    setup: Setup,
    phase: Phase,
    folder: Path,
    *,
    start: Path | None,
    tally: _Tally,
    epoch_done: Callable[[EpochRecord], None],
) -> Path:
    """Train a phase to its end, and return the checkpoint of its best epoch."""
    run = Run(setup, phase, folder)
    resumed = run.resume()
    tally.skip(run.epoch * setup.batches)
    if run.epoch == phase.recipe.epochs:
        return run.best
    with curves(folder, next_epoch=run.epoch + 1 if resumed else 0) as add:

        def keep(record: EpochRecord) -> None:
            add(record)
            run.save(record)
            epoch_done(record)

        if not resumed and start is not None:
            keep(run.start(start))
        while run.epoch < phase.recipe.epochs:
            keep(run.train_epoch(tally))
    return run.best


def _write(setup: Setup, resolution: int, checkpoint: Path, images: ImageSet, out: Path) -> Path:
    """Write a checkpoint's weights with batch norm's statistics of one resolution."""
    spec = setup.spec
    epoch = checkpoints.load(checkpoint, setup.module)["epoch"]
    measure_norms(setup, resolution)
    variant = Variant(spec.family, spec.alpha, resolution)
    path = out / f"{variant.name}_{spec.tag}.safetensors"
    weights = Weights(
        network=setup.module.network,
        tensors={name: t.cpu().numpy().copy() for name, t in tensors(setup.module).items()},
        base_resolution=max(spec.resolutions),
        preprocessing=RULE,
        labels=_labels(images),
        origin={
            "recipe": json.dumps(identity(spec, main_phase(spec))),
            "fine_tune": str(spec.fine_tune),
            "epoch": str(epoch),
            "held_out_top1": f"{held_out_top1(setup, resolution):.4f}",
        },
    )
    native_weights.save(weights, path, half=spec.half)
    return path


def _labels(images: ImageSet) -> tuple[str, ...]:
    """Return the class names by index, ``""`` where a numbered set leaves one out."""
    return tuple(images.classes.get(i, "") for i in range(max(images.classes, default=-1) + 1))
