"""What to convert, and how far: ranks said by name, or a budget that ranks are chosen for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgedeploy.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedeploy.converting.layers import Layer

AUTO = "auto"
_KEEP = "keep"
_EXAMPLE = "write a rank such as 4, or ranks by layer: 4,conv1=5,conv2=keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRule:
    """Ranks as a user gives them.

    Attributes:
        default: Of every layer that is not named; None leaves those as they are.
        named: By layer; None leaves it as it is.
    """

    default: int | None = None
    named: Mapping[str, int | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> RankRule:
        """Parse ``"4"``, ``"conv1=5,conv2=keep"``, or both in one or several texts.

        Raises:
            UsageError: A text says something else, or two ranks for one thing.

        Example:
            >>> RankRule.parse(["4,conv1=keep"])
            RankRule(default=4, named={'conv1': None})
        """
        default: int | None = None
        named: dict[str, int | None] = {}
        for part in (part.strip() for text in texts for part in text.split(",")):
            name, equals, word = (each.strip() for each in part.rpartition("="))
            rank = None if equals and word == _KEEP else _rank(part, word)
            if (equals and name in named) or (not equals and default is not None):
                before = named[name] if equals else default
                raise UsageError(
                    f"--rank gives {name or 'all layers'} two ranks: "
                    f"{_KEEP if before is None else before} and {word}",
                    fix=_EXAMPLE,
                )
            if equals:
                named[name] = rank
            else:
                default = rank
        return cls(default=default, named=named)

    def ranks(self, layers: Sequence[Layer], spared: Sequence[str]) -> dict[str, int]:
        """Return the rank of every layer that is converted, in the order of ``layers``.

        Args:
            layers: Those that can be.
            spared: Names of those that only a rank of their own converts.

        Raises:
            UnknownNameError: A name is none of them.
            UsageError: A rank is 0, or above what the layer's weights have.
        """
        known = [layer.name for layer in layers]
        for name in self.named:
            if name not in known:
                raise _unknown(name, known)
        found: dict[str, int] = {}
        for layer in layers:
            default = None if layer.name in spared else self.default
            rank = self.named.get(layer.name, default)
            if rank is not None:
                found[layer.name] = rank
        self._check(found, layers)
        return found

    def _check(self, ranks: Mapping[str, int], layers: Sequence[Layer]) -> None:
        wrong = [layer for layer in layers if not 1 <= ranks.get(layer.name, 1) <= layer.full_rank]
        if not wrong:
            return
        full = ", ".join(f"{layer.name} has 1 to {layer.full_rank}" for layer in wrong)
        raise UsageError(
            f"rank {ranks[wrong[0].name]} was asked for, and {full}",
            fix=f"pass ranks that save something, for example --rank {self._saving(wrong)}",
        )

    def _saving(self, wrong: Sequence[Layer]) -> str:
        """Return this rule with ranks that save something in place of the wrong ones."""
        unnamed = [max(1, layer.saving_rank) for layer in wrong if layer.name not in self.named]
        default = min(unnamed, default=self.default)
        better = {layer.name: max(1, layer.saving_rank) for layer in wrong}
        named = {
            name: _KEEP if rank is None else str(better.get(name, rank))
            for name, rank in self.named.items()
        }
        words = [] if default is None else [str(default)]
        return shlex.quote(",".join([*words, *(f"{n}={word}" for n, word in named.items())]))


@dataclass(frozen=True, slots=True, kw_only=True)
class DacRequest:
    """How far to go: exactly one of ``rank``, ``target_flops`` and ``max_error``.

    Attributes:
        rank: Ranks given.
        target_flops: Share of the whole model's multiply-adds that may remain.
        max_error: How far the model's output may be from what it was: the root of the sum of
            squared differences over that of squared outputs.
        spare_first: How many of the first convertible layers stay as they are; ``"auto"``: those
            whose sensitivity is measured to stand out. None: 0 with ranks, else ``"auto"``.
        correct_bias: Whether to take the mean's shift back; None: where there are images.
        threads: Of ONNX Runtime, which measures; None leaves it the choice.
    """

    rank: RankRule | None = None
    target_flops: float | None = None
    max_error: float | None = None
    spare_first: int | str | None = None
    correct_bias: bool | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        given = [x for x in (self.rank, self.target_flops, self.max_error) if x is not None]
        if len(given) != 1:
            raise UsageError(
                f"{len(given)} of --rank, --target-flops and --max-error are given",
                fix="pass one of them, e.g. --rank 4 or --target-flops 0.5",
            )
        if self.target_flops is not None and not 0 < self.target_flops < 1:
            raise UsageError(
                f"--target-flops is {self.target_flops:g}, the share of the multiply-adds that "
                "may remain lies between 0 and 1",
                fix="pass a share such as 0.5",
            )
        if self.max_error is not None and not 0 < self.max_error < 1:
            raise UsageError(
                f"--max-error is {self.max_error:g}, the error of the output relative to the "
                "output lies between 0 and 1",
                fix="pass a share such as 0.1",
            )

    @property
    def sparing(self) -> int | str:
        """What ``spare_first`` comes to."""
        if self.spare_first is not None:
            return self.spare_first
        return 0 if self.rank is not None else AUTO


def parse_sparing(text: str | None) -> int | str | None:
    """Parse ``"auto"`` or a number.

    Raises:
        UsageError: It is neither.
    """
    if text is None or text == AUTO:
        return text
    if not text.isdecimal():
        raise UsageError(
            f"--spare-first is {text!r}", fix="write auto, or how many layers: 0, 1, 2, …"
        )
    return int(text)


def _rank(part: str, word: str) -> int:
    try:
        return int(word)
    except ValueError as error:
        raise UsageError(f"--rank holds {part!r}", fix=_EXAMPLE) from error


def _unknown(name: str, known: Sequence[str]) -> UnknownNameError:
    error = UnknownNameError("convertible layer", name, known)
    error.fix = f"use one of: {', '.join(known)}"
    return error
