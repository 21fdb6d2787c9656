"""Converted networks and how they answer: each is measured once and kept in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from edgedeploy import model_file
from edgedeploy.converting import dac
from edgedeploy.converting.request import DacRequest, RankRule
from edgedeploy.files import sha256, write_atomically
from edgedeploy.runtime.preprocessing import arrange, normalise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.images import ImageSet
    from edgedeploy.types import Array

_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One way to convert.

    Attributes:
        ranks: By layer; empty for the network as it is, or where a target chooses them.
        target: Share of the multiply-adds that may remain; None where ranks are given.
        corrected: Whether biases are corrected on unlabelled training images.
    """

    ranks: Mapping[str, int]
    target: float | None = None
    corrected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of it.

    Attributes:
        remains: Share of the multiply-adds.
        top1: Share of test images that are right.
        count: How many test images there were.
        output_error: On noise; with corrected biases on the unlabelled images.
        weight_errors: By converted layer.
        ranks: By converted layer.
    """

    remains: float
    top1: float
    count: int
    output_error: float
    weight_errors: dict[str, float]
    ranks: dict[str, int]


class Bench:
    """One trained network with the images that its conversions are measured on."""

    def __init__(
        self, model: Path, test: ImageSet, unlabelled: ImageSet, *, threads: int | None
    ) -> None:
        self._model, self._threads, self._unlabelled = model_file.read(model), threads, unlabelled
        self._kept = model.with_name("measured.json")
        self._network = {"sha256": sha256(model), "test": test.digest()}
        self._found: dict[str, Found] = self._read()
        self._labels = np.array(test.labels)
        side, rule = self._model.side, self._model.preprocessing
        assert side is not None
        assert rule is not None
        frames = [arrange(frame, side, rule) for _, frame in test.pictures()]
        self._pixels = np.concatenate(frames)
        proto = model_file.load_proto(model)
        self.layers = [n.name for n in proto.graph.node if n.op_type == "Conv"]

    def measure(self, asked: Asked, *, samples: int | None = None) -> Found:
        """Convert and count right answers on ``samples`` of the test images, or all of them."""
        count = min(samples or len(self._labels), len(self._labels))
        key = json.dumps([asdict(asked), count])
        if key not in self._found:
            self._found[key] = self._measured(asked, count)
            known = {name: asdict(found) for name, found in self._found.items()}
            document = {**self._network, "found": known}
            write_atomically(self._kept, (json.dumps(document, indent=1) + "\n").encode())
        return self._found[key]

    def write(self, asked: Asked, path: Path) -> Path:
        """Write a converted network."""
        write_atomically(path, self._converted(asked).data)
        return path

    def _measured(self, asked: Asked, count: int) -> Found:
        if not asked.ranks and asked.target is None:
            top1 = self._top1(self._model.path.read_bytes(), count)
            return Found(
                remains=1.0, top1=top1, count=count, output_error=0.0, weight_errors={}, ranks={}
            )
        found = self._converted(asked)
        assert found.measured is not None
        ranks = dict(found.choice.ranks)
        return Found(
            remains=(found.multiply_adds or 0) / (found.network.multiply_adds or 1),
            top1=self._top1(found.data, count),
            count=count,
            output_error=found.measured.output_error,
            weight_errors={
                layer.name: layer.weight_error(ranks[layer.name])
                for layer in found.network.layers
                if layer.name in ranks
            },
            ranks=ranks,
        )

    def _converted(self, asked: Asked) -> dac.Conversion:
        request = DacRequest(
            rank=RankRule(named=dict(asked.ranks)) if asked.target is None else None,
            target_flops=asked.target,
            threads=self._threads,
        )
        return dac.convert(self._model, request, self._unlabelled if asked.corrected else None)

    def _top1(self, data: bytes, count: int) -> float:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads or 0
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        chosen = np.arange(count) * len(self._labels) // count
        right = 0
        for start in range(0, count, _BATCH):
            part = chosen[start : start + _BATCH]
            (logits,) = session.run(None, {self._model.input.name: self._batch(part)})
            right += int((logits.argmax(axis=1) == self._labels[part]).sum())
        return right / count

    def _batch(self, positions: Array) -> Array:
        rule = self._model.preprocessing
        assert rule is not None
        return normalise(self._pixels[positions], rule)

    def _read(self) -> dict[str, Found]:
        """Return what was measured already, of this very network on these test images."""
        if not self._kept.exists():
            return {}
        document = json.loads(self._kept.read_text())
        if any(document[key] != value for key, value in self._network.items()):
            return {}
        return {name: Found(**found) for name, found in document["found"].items()}
