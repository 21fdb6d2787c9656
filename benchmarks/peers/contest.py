"""One model, every contender: what each answers on the same pictures."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy import pipeline, preparing
from edgedeploy.calibration import files as calibrations
from edgedeploy.calibration import measuring
from edgedeploy.calibration_values import QdqStyle
from edgedeploy.files import write_atomically
from edgedeploy.meters import cpu
from edgedeploy.runtime.runtime import Runtime
from edgedeploy.source_forms import SourceForm
from edgedeploy.types import BuildSpec, Precision
from peers import making, running
from peers.inputs import CALIBRATE, EVALUATE, hints, tensors
from peers.scores import Score, score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgedeploy.images import ImageSet
    from edgedeploy.types import Array, OnnxModel
    from peers.making import Contender

_IMAGENET = 1000  # classes; a model with one more has background first
_OURS = [BuildSpec(backend=name, precision=Precision.INT8) for name in ("ort", "openvino")]


class Contest:
    """One model and its pictures, calibration and evaluation apart.

    Attributes:
        model: Float.
    """

    def __init__(self, model: OnnxModel, images: ImageSet, *, cache: Path, threads: int) -> None:
        self.model = model
        self._images = images.every(CALIBRATE)
        self._cache = cache
        self._threads = threads
        self._calibration = tensors(model, self._images, cache)
        self._evaluation = tensors(model, images.every(EVALUATE), cache)
        self._labels = np.array(images.every(EVALUATE).labels)
        if model.output.shape[-1] == _IMAGENET + 1:
            self._labels += 1

    def ours(self) -> Iterator[Score]:
        """Calibrate once, build for two backends, and write TensorRT's Q/DQ; nothing is kept."""
        with tempfile.TemporaryDirectory() as scratch:
            known, out = hints(self.model.path), Path(scratch)
            start_ns = time.perf_counter_ns()
            calib = pipeline.calibrate(
                self.model.path,
                self._images,
                hints=known,
                method=measuring.DEFAULT_METHOD,
                out=out,
                threads=self._threads,
            )[0]
            seconds = (time.perf_counter_ns() - start_ns) / 1e9
            for built in pipeline.build_all(
                [self.model.path], _OURS, hints=known, calib=calib, out=out
            ):
                if isinstance(built, pipeline.Failure):
                    raise built.error
                backend = built.manifest.backend
                with Runtime.load(built.folder, threads=self._threads) as runtime:
                    yield self._score(f"edgedeploy {backend}", backend, runtime.infer, seconds)
            s8 = out / "s8.onnx"
            s8.write_bytes(
                preparing.source(
                    self.model, SourceForm(style=QdqStyle.S8), calibrations.read(calib)
                )
            )
            for name, path in (
                ("ort", out / self.model.name / "ort-int8" / "model.onnx"),
                ("trt s8", s8),
            ):
                infer = running.onnx_runtime(path, exact=True, threads=self._threads)
                yield self._score(f"edgedeploy {name}, exact", "ort", infer, seconds)

    def peer(self, peer: Contender, python: str) -> Iterator[Score]:
        """Quantise with ``peer``, or take what was; one score as it runs here, one exact."""
        try:
            made = making.make(
                peer, self.model, self._calibration, python=python, cache=self._cache
            )
        except making.NotMeasuredError as error:
            yield Score(model=self.model.name, contender=peer.name, problem=error.problem)
            return
        backend = "ort" if peer.kind == "ort" else "openvino"
        for exact in (False, True):
            found = self._answers(backend, made.path, made.key, exact=exact)
            yield score(
                self.model.name,
                f"{peer.name}, exact" if exact else peer.name,
                found,
                self._reference(backend),
                self._labels,
                seconds=made.seconds,
            )

    def _score(
        self, contender: str, backend: str, infer: Callable[[Array], Array], seconds: float
    ) -> Score:
        found = running.answers(infer, self._evaluation.batches())
        reference = self._reference(backend)
        return score(self.model.name, contender, found, reference, self._labels, seconds=seconds)

    def _reference(self, backend: str) -> Array:
        """Return what the float model answers in the same runtime."""
        return self._answers(backend, self.model.path, self.model.sha256, exact=False)

    def _answers(self, backend: str, path: Path, key: str, *, exact: bool) -> Array:
        """Run a model on all pictures, or take what it answered on such a CPU before."""
        processor = cpu.read()
        kept = (
            self._cache
            / "answers"
            / making.digest(
                key,
                self._evaluation.digest,
                running.version(backend),
                exact,
                processor.model,
                sorted(processor.x86_flags),
            )
        )
        if not kept.is_file():
            infer = (
                running.onnx_runtime(path, exact=exact, threads=self._threads)
                if backend == "ort"
                else running.openvino(path, self.model, exact=exact, threads=self._threads)
            )
            found = running.answers(infer, self._evaluation.batches())
            write_atomically(kept, json.dumps(found.tolist()).encode())
        return np.array(json.loads(kept.read_bytes()))
