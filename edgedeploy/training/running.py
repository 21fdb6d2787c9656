"""Train one network for several resolutions, then, if asked, at each of them alone."""

from __future__ import annotations

import datetime
import json
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING

import torch

from edgedeploy.errors import FileError
from edgedeploy.training import checkpoints, teaching
from edgedeploy.training.data import classes, packed
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
    say: Callable[[str], None] = lambda text: None,
    clock_ns: Callable[[], int] = perf_counter_ns,
    today: Callable[[], str] = lambda: f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}",
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
        say: Told, before the first step, how many images and classes there are.
        clock_ns: Monotonic clock in nanoseconds; tests pass a fake.
        today: Returns the day, UTC, which the weight files keep as that of their last epoch.

    Returns:
        The weight files, one per resolution, in the order of ``spec.resolutions``. Without
        fine-tuning they differ in batch norm's statistics only, which are measured at that
        resolution on training images.

    Raises:
        FileError: ``out`` holds another run, another training writes there, or it is damaged; or
            the teacher cannot be read.
        UsageError: Too few images, folders that are no classes, a teacher that does not fit, or a
            training that diverged.
        MissingDependencyError: safetensors, tensorboard or filelock is not installed.
    """
    with alone(out):
        _require_as_fine_tuned(spec, out)
        setup = _setup(images, spec, device or default_device(), clock_ns, today)
        say(str(setup.data))
        epochs = spec.recipe.epochs + spec.fine_tune * len(spec.resolutions)
        tally = _Tally(step, setup.batches * epochs)
        trained = partial(_trained, setup, tally=tally, epoch_done=epoch_done)
        main = trained(main_phase(spec), out, start=None)
        paths = []
        for resolution in spec.resolutions:
            chosen = main
            if spec.fine_tune:
                phase = fine_tuning(spec, resolution)
                chosen = trained(phase, out / phase.name, start=main.best)
            paths.append(_write(setup, resolution, chosen, out))
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
    images: ImageSet,
    spec: TrainSpec,
    device: torch.device,
    clock_ns: Callable[[], int],
    today: Callable[[], str],
) -> Setup:
    count = len(classes(images))
    teacher = None
    if spec.distillation is not None:
        teacher = teaching.load(spec.distillation.teacher, classes=count, device=device)
    data = packed(images, spec, device)
    torch.manual_seed(spec.seed)
    network = networks.network(spec.family, alpha=spec.alpha, classes=count, style=STYLE)
    module = NetworkModule(network)
    # torch annotates the other forms of to() only
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Setup(
        spec=spec, module=module, data=data, teacher=teacher, clock_ns=clock_ns, today=today
    )


def _trained(
    setup: Setup,
    phase: Phase,
    folder: Path,
    *,
    start: Path | None,
    tally: _Tally,
    epoch_done: Callable[[EpochRecord], None],
) -> Run:
    """Train a phase to its end, and return it."""
    run = Run(setup, phase, folder, start)
    resumed = run.resume()
    tally.skip(run.epoch * setup.batches)
    if run.epoch == phase.recipe.epochs:
        return run
    with curves(folder, next_epoch=run.epoch + 1 if resumed else 0) as add:

        def keep(record: EpochRecord) -> None:
            add(record)
            run.save(record)
            epoch_done(record)

        if not resumed and start is not None:
            keep(run.begin(start))
        while run.epoch < phase.recipe.epochs:
            keep(run.train_epoch(tally))
    return run


def _write(setup: Setup, resolution: int, run: Run, out: Path) -> Path:
    """Write the weights of a phase's best epoch, with batch norm's statistics of one resolution.

    A file that holds them already is left alone.
    """
    spec = setup.spec
    epoch = checkpoints.about(run.best).get("epoch")
    if epoch is None:
        raise checkpoints.unreadable(run.best, "it has no epoch")
    checkpoints.load(run.best, setup.module)
    measure_norms(setup, resolution)
    variant = Variant(spec.family, spec.alpha, resolution)
    path = out / f"{variant.name}_{spec.tag}.safetensors"
    origin = {
        "recipe": json.dumps(identity(spec, main_phase(spec))),
        "fine_tune": str(spec.fine_tune),
        "epoch": str(epoch),
        "held_out_top1": f"{held_out_top1(setup, resolution):.4f}",
    }
    weights = Weights(
        network=setup.module.network,
        tensors={name: t.cpu().numpy().copy() for name, t in tensors(setup.module).items()},
        base_resolution=max(spec.resolutions),
        preprocessing=RULE,
        labels=setup.data.classes,
        origin=origin if run.date is None else {**origin, "date": run.date},
    )
    native_weights.save(weights, path, half=spec.half)
    return path
