"""Train one network for several resolutions: the resolution is drawn anew for every batch."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import FileError, UsageError
from edgedeploy.files import write_atomically
from edgedeploy.optional import needs
from edgedeploy.runtime.preprocessing import Preprocessing, fit
from edgedeploy.types import Variant
from edgedeploy.zoo import native_weights, networks
from edgedeploy.zoo.rows import Activation, Padding, Style
from edgedeploy.zoo.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from edgedeploy.images import ImageSet
    from edgedeploy.types import Family
    from edgedeploy.zoo.torch_module import NetworkModule

STYLE = Style(activation=Activation.RELU6, padding=Padding.SYMMETRIC, eps=1e-5)
RULE = Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3, crop_fraction=1.0)
_NORM_IMAGES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """The recipe: SGD with Nesterov momentum, linear warm-up, cosine decay, label smoothing.

    Attributes:
        family: Which line of networks.
        alpha: Width multiplier.
        resolutions: Input sides to train for, one drawn per batch; the largest is the base.
        epochs: Passes over the training images.
        batch: Images per step.
        learning_rate: Peak, reached after ``warmup_epochs``.
        warmup_epochs: Epochs of linear warm-up.
        momentum: Nesterov momentum.
        weight_decay: On the kernels of dense convolutions and the classifier; none on depthwise
            kernels (MobileNet paper, section 3.3) and batch norm.
        label_smoothing: Weight of the uniform distribution in the target.
        held_out: Share of the images that chooses the best epoch and is never trained on.
        seed: Of weights, order, augmentation, resolutions and split.
        tag: Last part of the files' names.
    """

    family: Family
    alpha: float
    resolutions: tuple[int, ...] = (112, 96, 80, 64)
    epochs: int = 30
    batch: int = 128
    learning_rate: float = 0.1
    warmup_epochs: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    held_out: float = 0.05
    seed: int = 1
    tag: str = "trained"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or not self.resolutions:
            raise UsageError(
                f"cannot train {self.epochs} epochs of batch {self.batch} at {self.resolutions}",
                fix="pass at least 1 epoch, a batch of at least 2 and one resolution",
            )
        if not 0 < self.held_out < 1:
            raise UsageError(
                f"the held-out share is {self.held_out}, it must lie between 0 and 1",
                fix="pass a share such as 0.05",
            )
        for resolution in self.resolutions:
            Variant(self.family, self.alpha, resolution)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of the training log.

    Attributes:
        epoch: From 1.
        loss: Mean training loss.
        held_out_top1: Share of held-out images that are right, by resolution.
    """

    epoch: int
    loss: float
    held_out_top1: dict[int, float]

    @property
    def score(self) -> float:
        """What the best epoch is chosen by: the mean over the resolutions."""
        return sum(self.held_out_top1.values()) / len(self.held_out_top1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    images: torch.Tensor  # (N, 3, S, S) uint8
    labels: torch.Tensor  # (N,) int64
    train: torch.Tensor  # positions
    held_out: torch.Tensor


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
        MissingDependencyError: torch is not installed.
    """
    with needs("torch", extra="train"):
        import torch

        from edgedeploy.zoo.torch_module import NetworkModule
    data = _packed(images, spec)
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


def use_threads(threads: int | None) -> None:
    """Let torch use ``threads`` CPU threads; None leaves its default, the physical cores.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    with needs("torch", extra="train"):
        import torch
    if threads is not None:
        torch.set_num_threads(threads)


class _Run:
    """The state that an epoch changes: weights, momentum, the best score so far."""

    def __init__(self, spec: TrainSpec, module: NetworkModule, data: _Data, out: Path) -> None:
        import torch

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
        import torch

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
                group["lr"] = _learning_rate(self.spec, done, len(batches))
            choice = int(torch.randint(len(self.spec.resolutions), (), generator=draw))
            pictures = _augmented(self.data.images[positions], draw)
            logits = self.module(_input(pictures, self.spec.resolutions[choice]))
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
        import torch

        self.module.eval()
        right = 0
        with torch.inference_mode():
            for positions in torch.split(self.data.held_out, 256):
                logits = self.module(_input(self.data.images[positions], resolution))
                right += int((logits.argmax(1) == self.data.labels[positions]).sum())
        return right / len(self.data.held_out)

    def resume(self) -> None:
        """Load the last whole epoch, if there is one."""
        last = self.out / "last.pt"
        if not last.exists():
            return
        state = _loaded(last)
        theirs = json.loads(state["spec"])
        ours = _spec_json(self.spec)
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
            "spec": json.dumps(_spec_json(self.spec)),
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
        from edgedeploy.zoo.torch_module import tensors

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
                    "recipe": json.dumps(_spec_json(self.spec)),
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
        import torch

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
                    pictures = _augmented(self.data.images[positions], draw)
                    self.module(_input(pictures, resolution))


def _packed(images: ImageSet, spec: TrainSpec) -> _Data:
    """Decode every picture once; pictures larger than the base resolution are fitted to it."""
    import torch

    labels = images.labels
    base = max(spec.resolutions)
    pictures: list[np.ndarray] = []
    side: int | None = None
    for _, frame in images.pictures():
        if side is None:
            side = min(base, *frame.shape[:2])
        same = frame.shape[:2] == (side, side)
        pictures.append(frame if same else fit(frame, (side, side), RULE))
    packed = torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(spec.seed))
    held_out = max(1, round(spec.held_out * len(labels)))
    if len(labels) - held_out < 2:
        raise UsageError(
            f"{len(labels)} images are too few to train on", fix="pass a folder with more images"
        )
    return _Data(
        images=packed,
        labels=torch.tensor(labels),
        train=order[held_out:],
        held_out=order[:held_out].sort().values,
    )


def _augmented(pictures: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Mirror half of the pictures and shift each by up to an eighth of its side, zeros outside."""
    import torch
    from torch.nn import functional

    count, _, side, _ = pictures.shape
    margin = side // 8
    padded = functional.pad(pictures, (margin,) * 4)
    top, left = torch.randint(2 * margin + 1, (2, count), generator=draw)
    steps = torch.arange(side)
    columns = left[:, None] + steps
    mirrored = torch.rand(count, generator=draw) < 0.5
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    rows = top[:, None] + steps
    batch = torch.arange(count)[:, None, None]
    cut = padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def _input(pictures: torch.Tensor, resolution: int) -> torch.Tensor:
    """Scale and normalise as `runtime.preprocessing` does, on a batch, without its rounding."""
    import torch
    from torch.nn import functional

    scaled = functional.interpolate(
        pictures.to(torch.float32), (resolution, resolution), mode="bilinear", antialias=True
    )
    return ((scaled - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)


def _learning_rate(spec: TrainSpec, step: int, steps_per_epoch: int) -> float:
    warmup = max(1, round(spec.warmup_epochs * steps_per_epoch))
    if step < warmup:
        return spec.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, spec.epochs * steps_per_epoch - warmup)
    return spec.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def _is_depthwise(module: NetworkModule, parameter: str) -> bool:
    if not parameter.startswith("rows."):
        return False
    return module.network.rows[int(parameter.split(".")[1])].groups > 1


def _spec_json(spec: TrainSpec) -> dict[str, object]:
    whole = asdict(replace(spec, resolutions=tuple(spec.resolutions)))
    return {**whole, "family": spec.family.value, "resolutions": list(spec.resolutions)}


def _bytes(state: dict[str, object]) -> bytes:
    import io

    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _loaded(path: Path) -> dict[str, Any]:
    import pickle

    import torch

    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise FileError(
            f"{path} is no checkpoint that can be read: {error}",
            fix="remove the folder and train again",
        ) from error
    return state
