"""The trade-offs that need no clock: accuracy against work and size, and what a shape costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.errors import FileError
from edgedeploy.training.spec import STYLE
from edgedeploy.types import Family
from edgedeploy.zoo import networks
from shipped import layer, pages
from shipped.plots import Axis, Plot, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shipped.facts import Shipped

_FAMILIES = {
    Family.MOBILENET_V1: "V1",
    Family.MOBILENET_V2: "V2",
    Family.MOBILENET_V1_SHALLOW: "V1 shallow",
    Family.MOBILENET_V1_FULL: "V1 full",
}
# Multiply-adds and parameters in millions and top-1 on ImageNet, tables 4 and 5 of the paper.
_PAPER = {
    (Family.MOBILENET_V1_FULL, 1.0): (4866, 29.3, 0.717),
    (Family.MOBILENET_V1, 1.0): (569, 4.2, 0.706),
    (Family.MOBILENET_V1, 0.75): (325, 2.6, 0.684),
    (Family.MOBILENET_V1_SHALLOW, 1.0): (307, 2.9, 0.653),
}
EVALUATE = (
    "edgedeploy build --backend ort --fp32 && edgedeploy eval --data cifar10-jpeg.zip/test && "
    "python benchmarks/shipped_accuracy.py"
)
_SCALES = ("ort-fp32", "openvino-fp32", "trt-fp32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        text: Markdown.
        plots: The drawings that it shows.
    """

    text: str
    plots: tuple[Plot, ...]


def section(models: Sequence[Shipped], untrained: Sequence[str]) -> Section:
    """Return figures 4 and 5, accuracy per parameter, and table 3.

    Args:
        models: Those that were evaluated are drawn.
        untrained: Networks of the grid that are missing, as ``zoo.py --only`` calls them.

    Raises:
        FileError: None was evaluated.
    """
    known = [model for model in models if top1(model) is not None]
    unknown = [model.name for model in models if top1(model) is None]
    if not known:
        raise FileError(
            f"there is no accuracy of {', '.join(unknown) or 'any model'} in float32",
            fix=f"run: {EVALUATE}",
        )
    drawn: dict[Plot, tuple[str, Callable[[Shipped], str]]] = {
        _against_work(known): ("multiply-adds", lambda model: f"{model.multiply_adds / 1e6:.2f} M"),
        _against_size(known): ("parameters", lambda model: f"{model.parameters / 1e6:.3f} M"),
        _density(known): ("top-1 / M parameters", lambda model: f"{_per_million(model):.0f} %"),
    }
    parts = []
    for plot, (title, number) in drawn.items():
        rows = [
            [
                words(model.variant.family, model.variant.alpha),
                str(model.variant.resolution),
                number(model),
                percent(top1(model)),
            ]
            for model in known
        ]
        table = pages.table(("model", "resolution", title, "top-1"), rows)
        parts.append(f"### {plot.title}\n\n{plot.markdown()}\n\n{table}")
    parts += [_unevaluated(unknown), _missing(untrained), _one_layer()]
    return Section(text="\n\n".join(filter(None, parts)), plots=tuple(drawn))


def compared(models: Sequence[Shipped], untrained: Sequence[str]) -> Section:
    """Return tables 4 and 5: depthwise against full convolution, thinner against shallower.

    Args:
        models: Trained ones, those that do not ship among them.
        untrained: As for `section`.
    """
    trained = {
        (model.variant.family, model.variant.alpha): top1(model)
        for model in models
        if model.rho == 1
    }
    head = (
        "network", "multiply-adds", "paper", "parameters", "paper", "ImageNet top-1, paper",
        "CIFAR-10 top-1, ours",
    )  # fmt: skip
    parts = []
    for title, pair in (
        ("Depthwise against full convolution", list(_PAPER)[:2]),
        ("Thinner against shallower", list(_PAPER)[2:]),
    ):
        rows = [_compared_row(*one, trained.get(one)) for one in pair]
        parts.append(f"#### {title}\n\n{pages.table(head, rows)}")
    parts.append(
        "Counts are at 224 pixels with 1000 classes, as in the paper's tables 4 and 5; our\n"
        "top-1 is at 112 pixels."
    )
    return Section(text="\n\n".join(filter(None, [*parts, _missing(untrained)])), plots=())


def top1(model: Shipped) -> float | None:
    """Return a model's accuracy in float32, of the first backend that has one."""
    return next((model.top1[key] for key in _SCALES if key in model.top1), None)


def words(family: Family, alpha: float) -> str:
    """Return a network's name as the tables have it, e.g. ``"V1 shallow α 1"``."""
    return f"{_FAMILIES[family]} α {alpha:g}"


def percent(share: float | None) -> str | None:
    """Return a share as ``"81.38 %"``; None stays None."""
    return None if share is None else f"{share * 100:.2f} %"


def _compared_row(family: Family, alpha: float, share: float | None) -> list[str | None]:
    network = networks.network(family, alpha=alpha, classes=1000, style=STYLE)
    adds, parameters, published = _PAPER[family, alpha]
    return [
        words(family, alpha),
        f"{network.multiply_adds(224) / 1e6:.1f} M",
        f"{adds} M",
        f"{network.parameters() / 1e6:.2f} M",
        f"{parameters} M",
        f"{published * 100:.1f} %",
        percent(share),
    ]


def _one_layer() -> str:
    head = ("14×14×512 layer", "multiply-adds", "paper", "parameters", "paper")
    rows = [
        [
            step.what,
            f"{step.multiply_adds / 1e6:.1f} M",
            f"{step.paper[0]} M",
            f"{step.parameters / 1e6:.2f} M",
            f"{step.paper[1]} M",
        ]
        for step in layer.steps()
    ]
    return f"### One layer made smaller\n\n{pages.table(head, rows)}"


def _against_work(models: Sequence[Shipped]) -> Plot:
    return Plot(
        file="tradeoffs-multiply-adds.svg",
        title="Accuracy against multiply-adds",
        desc=_range(models, lambda model: model.multiply_adds / 1e6, "M multiply-adds"),
        series=_series(
            models,
            lambda model: words(model.variant.family, model.variant.alpha),
            lambda model: Point(model.multiply_adds, top1(model) or 0),
        ),
        x=Axis(title="multiply-adds of one image", format="~s", is_log=True),
        y=Axis(title="top-1, CIFAR-10", format=".0%"),
    )


def _against_size(models: Sequence[Shipped]) -> Plot:
    best: dict[int, Shipped] = {}
    for model in sorted(models, key=lambda model: top1(model) or 0):
        best[model.parameters] = model  # the others of one width stand below it

    def point(model: Shipped) -> Point:
        label = f"α {model.variant.alpha:g}" if best[model.parameters] is model else ""
        return Point(model.parameters, top1(model) or 0, label)

    return Plot(
        file="tradeoffs-parameters.svg",
        title="Accuracy against parameters",
        desc=_range(models, lambda model: model.parameters / 1e6, "M parameters"),
        series=_series(models, _by_resolution, point),
        x=Axis(title="parameters", format="~s", is_log=True),
        y=Axis(title="top-1, CIFAR-10", format=".0%"),
    )


def _density(models: Sequence[Shipped]) -> Plot:
    best = max(models, key=_per_million)
    return Plot(
        file="tradeoffs-density.svg",
        title="Accuracy per parameter",
        desc=f"Top-1 per million parameters of {len(models)} networks; most, "
        f"{_per_million(best):.0f} %, has {best.name}.",
        series=_series(
            models,
            lambda model: words(model.variant.family, model.variant.alpha),
            lambda model: Point(model.multiply_adds, _per_million(model)),
        ),
        x=Axis(title="multiply-adds of one image", format="~s", is_log=True),
        y=Axis(title="top-1 in % per million parameters", format="d"),
    )


def _range(models: Sequence[Shipped], size: Callable[[Shipped], float], unit: str) -> str:
    worst, best = (found(models, key=lambda model: top1(model) or 0) for found in (min, max))
    return (
        f"{len(models)} networks, from {percent(top1(worst))} with {size(worst):.3g} {unit} to "
        f"{percent(top1(best))} with {size(best):.3g} {unit}."
    )


def _series(
    models: Iterable[Shipped], name: Callable[[Shipped], str], point: Callable[[Shipped], Point]
) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for model in models:
        found.setdefault(name(model), []).append(point(model))
    return found


def _by_resolution(model: Shipped) -> str:
    return f"{_FAMILIES[model.variant.family]}, {model.variant.resolution} px"


def _per_million(model: Shipped) -> float:
    return (top1(model) or 0) * 100 / (model.parameters / 1e6)


def _unevaluated(unknown: Sequence[str]) -> str:
    """Return how to evaluate what has no accuracy, ``""`` where all have."""
    if not unknown:
        return ""
    names = ", ".join(f"`{name}`" for name in unknown)
    return f"Not evaluated, and so not drawn: {names}. Command not run:\n\n    {EVALUATE}"


def _missing(untrained: Sequence[str]) -> str:
    """Return how to train what is not there, ``""`` where all is."""
    if not untrained:
        return ""
    lines = [f"    python benchmarks/zoo.py cifar10-jpeg.zip --only {name}" for name in untrained]
    return "Not trained yet, and so not drawn (commands not run):\n\n" + "\n".join(lines)
