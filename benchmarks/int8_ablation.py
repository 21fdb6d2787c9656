"""What each step of the INT8 recipe is worth, model by model, as one table per Q/DQ style.

    python benchmarks/int8_ablation.py MODELS IMAGES [--keras FILE…] [--only NAME…]

Calibration and evaluation use the same pictures as int8_accuracy.py. A cell is the share of
pictures with the float model's best class, in %, and in brackets the mean Kullback-Leibler
divergence of the outputs from the float model's, times 1000, which tells small differences apart.
Both styles run in ONNX Runtime: u8 as it does on this CPU, s8 with floats for its integers.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from peers import running
from peers.inputs import CALIBRATE, EVALUATE, models, tensors

from edgedeploy import preparing
from edgedeploy.calibration import measuring
from edgedeploy.calibration.recipe import CORRECT_BIAS, EQUALISE, ROUND
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.images import open_images
from edgedeploy.meters import cpu
from edgedeploy.runtime.cpu import physical_cores
from edgedeploy.source_forms import SourceForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgedeploy.calibration_values import Calibration
    from edgedeploy.images import ImageSet
    from edgedeploy.types import Array, OnnxModel


@dataclass(frozen=True, slots=True)
class Ablation:
    """One way to calibrate."""

    name: str
    steps: tuple[str, ...]
    method: str = measuring.DEFAULT_METHOD


ABLATIONS = (
    Ablation("min-max ranges, nothing else", (), "minmax"),
    Ablation("chosen ranges, nothing else", ()),
    Ablation("+ correct-bias", (CORRECT_BIAS,)),
    Ablation("+ equalise", (EQUALISE, CORRECT_BIAS)),
    Ablation("+ round: the recipe", (EQUALISE, ROUND, CORRECT_BIAS)),
    Ablation("the recipe without correct-bias", (EQUALISE, ROUND)),
    Ablation("the recipe without equalise", (ROUND, CORRECT_BIAS)),
    Ablation("the recipe with min-max ranges", (EQUALISE, ROUND, CORRECT_BIAS), "minmax"),
)


class Trial:
    """One model on its pictures, for every ablation."""

    def __init__(self, model: OnnxModel, images: ImageSet, *, cache: Path, threads: int) -> None:
        self._model, self._threads = model, threads
        self._images = images.every(CALIBRATE)
        self._evaluation = tensors(model, images.every(EVALUATE), cache)
        self._reference = self._outputs(model.path, exact=False)

    def cells(self, ablation: Ablation) -> Iterator[tuple[QdqStyle, str]]:
        """Calibrate one way, and yield each style's cell."""
        about = self._model
        if about.side is None or about.preprocessing is None:
            raise SystemExit(f"{about.path}: size or preprocessing is not known")
        calibration = measuring.measure(
            about,
            self._images,
            side=about.side,
            preprocessing=about.preprocessing,
            method=ablation.method,
            steps=ablation.steps,
            threads=self._threads,
        )
        for style in QdqStyle:
            yield style, self._cell(calibration, style)

    def _cell(self, calibration: Calibration, style: QdqStyle) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, "model.onnx")
            path.write_bytes(preparing.source(self._model, SourceForm(style=style), calibration))
            found = self._outputs(path, exact=style is QdqStyle.S8)
        same = (found.argmax(axis=1) == self._reference.argmax(axis=1)).mean()
        before, after = (np.log(np.maximum(p, 1e-12)) for p in (self._reference, found))
        divergence = (self._reference * (before - after)).sum(axis=1).mean()
        return f"{100 * same:.1f} ({1000 * divergence:.1f})"

    def _outputs(self, path: Path, *, exact: bool) -> Array:
        infer: Callable[[Array], Array] = running.onnx_runtime(
            path, exact=exact, threads=self._threads
        )
        outputs = [
            infer(batch).reshape(-1).astype(np.float64) for batch in self._evaluation.batches()
        ]
        return np.stack([o if self._model.softmax else _softmax(o) for o in outputs])


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max())
    result: Array = shifted / shifted.sum()
    return result


def main() -> None:
    """Measure every ablation of every model; print a table per style."""
    options = _options()
    images = open_images(options.images)
    cells: dict[tuple[QdqStyle, str, str], str] = {}
    names = []
    for model in models(options.models, options.keras, options.cache):
        if options.only and model.name not in options.only:
            continue
        names.append(model.name)
        trial = Trial(model, images, cache=options.cache, threads=options.threads)
        for ablation in ABLATIONS:
            for style, cell in trial.cells(ablation):
                cells[style, ablation.name, model.name] = cell
                print(f"{model.name}, {style.value}, {ablation.name}: {cell}", flush=True)
    print(f"\n{cpu.read().model}, ONNX Runtime {running.version('ort')}")
    for style in QdqStyle:
        rows = [[a.name, *(cells[style, a.name, name] for name in names)] for a in ABLATIONS]
        head = [[style.value, *names], ["---", *["---:"] * len(names)]]
        print("\n" + "\n".join(f"| {' | '.join(row)} |" for row in [*head, *rows]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path, help="folder of float ONNX files")
    parser.add_argument("images", type=Path, help="labelled pictures, see docs/models.md")
    parser.add_argument("--keras", type=Path, nargs="+", default=[], help="Keras checkpoints")
    parser.add_argument("--only", nargs="+", default=[], help="names of models")
    parser.add_argument("--cache", type=Path, default=Path("build/int8_peers"))
    parser.add_argument("--threads", type=int, default=physical_cores())
    return parser.parse_args()


if __name__ == "__main__":
    main()
