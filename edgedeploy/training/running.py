"""Train one network for several resolutions: the resolution is drawn anew for every batch."""

from __future__ import annotations

import io
import json
import math
import pickle
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from edgedeploy.errors import FileError, UsageError
from edgedeploy.files import write_atomically
from edgedeploy.training.data import augmented, packed, scaled_input
from edgedeploy.training.recipe import RULE, STYLE, EpochRecord, learning_rate, to_json
from edgedeploy.types import Variant
from edgedeploy.zoo import native_weights, networks
from edgedeploy.zoo.torch_module import NetworkModule, tensors
from edgedeploy.zoo.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.images import ImageSet
    from edgedeploy.training.data import Data
    from edgedeploy.training.recipe import TrainSpec

_NORM_IMAGES = 10_000


def train(
    images: ImageSet,
    spec: TrainSpec,
    out: Path,
    *,
    step: Callable[[int, int], None] = lambda done, total: None,
    epoch_done: Callable[[EpochRecord], None] = lambda record: None,
) -> tuple[Path, ...]:
    """Train, or go on from the last whole epoch in ``out``, and write one weight file a resolution.

    Args:
        images: Labelled pictures.
        spec: The recipe.
        out: Folder of the run: ``last.pt``, ``best.pt``, ``log.jsonl`` and the weight files,
            ``<variant>_<tag>.safetensors``.
        step: Called with (steps done, steps in all) after every batch.
        epoch_done: Called after every epoch.

    Returns:
        The weight files, one per resolution, in the order of ``spec.resolutions``. They differ in
        batch norm's statistics only, measured again at that resolution on training images.

    Raises:
        FileError: ``out`` holds another run, or is damaged.
    """
    data = packed(images, spec)
    torch.manual_seed(spec.seed)
    classes = max(images.classes) + 1
    network = networks.network(spec.family, alpha=spec.alpha, classes=classes, style=STYLE)
    module = NetworkModule(network)
    # torch annotates the other forms of to() only
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = _Run(spec, module, data, out)
    run.resume()
    for epoch in range(run.epoch, spec.epochs):
        record = run.train_epoch(epoch, step)
        run.save(record)
        epoch_done(record)
    return run.write_weights(images)


class _Run:
    """The state that an epoch changes: weights, momentum, the best score so far."""

    def __init__(self, spec: TrainSpec, module: NetworkModule, data: Data, out: Path) -> None:
        self.spec, self.module, self.data, self.out = spec, module, data, out
        self.epoch, self.best, self.log = 0, -1.0, ""
        decayed = [
            p for n, p in module.named_parameters() if p.ndim > 1 and not _is_depthwise(module, n)
        ]
        kept = {id(p) for p in decayed}
        others = [p for p in module.parameters() if id(p) not in kept]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": spec.weight_decay},
            {"params": others},
        ]
        self.optimizer = torch.optim.SGD(
            groups,
            lr=spec.learning_rate,
            momentum=spec.momentum,
            nesterov=True,
        )
        self.loss = torch.nn.CrossEntropyLoss(label_smoothing=spec.label_smoothing)

    def train_epoch(self, epoch: int, step: Callable[[int, int], None]) -> EpochRecord:
        # one generator an epoch, so that a resumed run draws what an unbroken one would have
        draw = torch.Generator().manual_seed(self.spec.seed * 100_003 + epoch)
        order = self.data.train[torch.randperm(len(self.data.train), generator=draw)]
        batches = [b for b in torch.split(order, self.spec.batch) if len(b) > 1]
        total = len(batches) * self.spec.epochs
        self.module.train()
        losses = 0.0
        for number, positions in enumerate(batches):
            done = epoch * len(batches) + number
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.spec, done, len(batches))
            choice = int(torch.randint(len(self.spec.resolutions), (), generator=draw))
            pictures = augmented(self.data.images[positions], draw)
            logits = self.module(scaled_input(pictures, self.spec.resolutions[choice]))
            loss = self.loss(logits, self.data.labels[positions])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses += float(loss.detach())
            step(done + 1, total)
        if not math.isfinite(losses):
            raise UsageError(
                f"the training diverged in epoch {epoch + 1}: the loss is {losses}",
                fix="pass a lower --learning-rate",
            )
        top1 = {r: self._top1(r) for r in self.spec.resolutions}
        return EpochRecord(epoch=epoch + 1, loss=losses / len(batches), held_out_top1=top1)

    def _top1(self, resolution: int) -> float:
        self.module.eval()
        right = 0
        with torch.inference_mode():
            for positions in torch.split(self.data.held_out, 256):
                logits = self.module(scaled_input(self.data.images[positions], resolution))
                right += int((logits.argmax(1) == self.data.labels[positions]).sum())
        return right / len(self.data.held_out)

    def resume(self) -> None:
        """Load the last whole epoch, if there is one."""
        last = self.out / "last.pt"
        if not last.exists():
            return
        state = _loaded(last)
        theirs = json.loads(state["spec"])
        ours = to_json(self.spec)
        changed = [k for k in ours if ours[k] != theirs.get(k)]
        if changed:
            raise FileError(
                f"{self.out} holds a run with {changed[0]} = {theirs.get(changed[0])}, "
                f"this one has {ours[changed[0]]}",
                fix="choose another folder with -o, or go on with the same options",
            )
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.best, self.log = state["epoch"], state["best"], state["log"]

    def save(self, record: EpochRecord) -> None:
        self.epoch = record.epoch
        self.log += json.dumps(asdict(record)) + "\n"
        weights = self.module.state_dict()
        if record.score > self.best:
            self.best = record.score
            write_atomically(self.out / "best.pt", _bytes({"module": weights}))
        state = {
            "spec": json.dumps(to_json(self.spec)),
            "module": weights,
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "best": self.best,
            "log": self.log,
        }
        write_atomically(self.out / "last.pt", _bytes(state))
        write_atomically(self.out / "log.jsonl", self.log.encode())

    def write_weights(self, images: ImageSet) -> tuple[Path, ...]:
        """Write the best epoch's weights, with batch norm's statistics of each resolution."""
        paths = []
        base = max(self.spec.resolutions)
        labels = tuple(images.classes.get(i, "") for i in range(max(images.classes) + 1))
        for resolution in self.spec.resolutions:
            self.module.load_state_dict(_loaded(self.out / "best.pt")["module"])
            self._measure_norms(resolution)
            variant = Variant(self.spec.family, self.spec.alpha, resolution)
            path = self.out / f"{variant.name}_{self.spec.tag}.safetensors"
            weights = Weights(
                network=self.module.network,
                tensors={n: t.numpy().copy() for n, t in tensors(self.module).items()},
                base_resolution=base,
                preprocessing=RULE,
                labels=labels,
                origin={
                    "recipe": json.dumps(to_json(self.spec)),
                    "held_out_top1": f"{self._top1(resolution):.4f}",
                },
            )
            native_weights.save(weights, path)
            paths.append(path)
        return tuple(paths)

    def _measure_norms(self, resolution: int) -> None:
        """Replace the running statistics, mixed over all resolutions, by those of one.

        The images are augmented as in training: the zeros that shifting brings in are part of
        what the network has seen, and statistics without them cost points.

        Source:
            Yu and Huang 2019, "Universally Slimmable Networks", section 3.2 (post-statistics).
        """
        norms = [m for m in self.module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over the batches
        draw = torch.Generator().manual_seed(self.spec.seed)
        chosen = self.data.train[torch.randperm(len(self.data.train), generator=draw)]
        self.module.train()
        with torch.inference_mode():
            for positions in torch.split(chosen[:_NORM_IMAGES], self.spec.batch):
                if len(positions) > 1:
                    pictures = augmented(self.data.images[positions], draw)
                    self.module(scaled_input(pictures, resolution))


def _is_depthwise(module: NetworkModule, parameter: str) -> bool:
    if not parameter.startswith("rows."):
        return False
    return module.network.rows[int(parameter.split(".")[1])].groups > 1


def _bytes(state: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _loaded(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise FileError(
            f"{path} is no checkpoint that can be read: {error}",
            fix="remove the folder and train again",
        ) from error
    return state
