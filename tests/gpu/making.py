"""Small MobileNets, built for the GPU that is here as a user would, and what they should answer."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from edgedeploy import building, model_file, preparing
from edgedeploy.calibration_values import Calibration, QdqStyle
from edgedeploy.runtime import manifest, preprocessing, trt
from edgedeploy.runtime.trt_options import TrtOptions
from edgedeploy.source_forms import SourceForm
from edgedeploy.types import BuildSpec, Family, Precision, Target
from edgedeploy.worker import timing
from tests.prepared_sources import mobilenet, ranges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.runtime.manifest import Manifest
    from edgedeploy.types import Array, OnnxModel

    # pytest's record_property: kept in the JUnit report
    Record = Callable[[str, object], None]

SIDE = 96
_DEFAULTS = TrtOptions()


@dataclass(frozen=True, slots=True)
class Made:
    """An artifact, and what it was made of."""

    folder: Path
    model: OnnxModel
    calibration: Calibration

    @property
    def manifest(self) -> Manifest:
        """What it says of itself now."""
        return manifest.read(str(self.folder))

    def edit(self, **changes: Any) -> None:
        """Change entries of its ``runs_on``."""
        path = self.folder / "manifest.json"
        document = json.loads(path.read_text())
        document["runs_on"] |= changes
        path.write_text(json.dumps(document))

    def load(self, *, graphs: bool = True) -> trt.TrtSession:
        """Open it as `Runtime` does, without comparing its digests."""
        session = trt.load(str(self.folder), self.manifest, 1, graphs=graphs)
        assert isinstance(session, trt.TrtSession)
        return session

    def answers(self, batch: Array) -> Array:
        """Return what ONNX Runtime gives for the float model."""
        return _run(self.model.path.read_bytes(), batch)

    def quantised_answers(self, batch: Array) -> Array:
        """Return what ONNX Runtime gives for it quantised as TensorRT wants it."""
        form = SourceForm(style=QdqStyle.S8)
        return _run(preparing.source(self.model, form, self.calibration), batch)


def make(
    out: Path,
    family: Family,
    precision: Precision,
    options: TrtOptions = _DEFAULTS,
    target: Target | None = None,
) -> Made:
    """Build a MobileNet of random weights, α 0.25."""
    path = out / f"{family.value}_0.25_{SIDE}.onnx"
    proto = mobilenet(family, side=SIDE)
    path.write_bytes(proto.SerializeToString())
    model = model_file.read(path)
    calibration = Calibration(
        model_sha256=model.sha256,
        data_digest="",
        data_count=8,
        method="minmax",
        side=(SIDE, SIDE),
        preprocessing=preprocessing.Preprocessing((127.5,) * 3, (127.5,) * 3),
        ranges=ranges(proto),
        versions={},
    )
    spec = BuildSpec(backend="trt", precision=precision, trt=options, target=target)
    built = building.build(model, spec, out=out / "build", calibration=calibration)
    return Made(built.folder, model, calibration)


def distance(found: Array, wanted: Array) -> float:
    """Return the largest difference over the largest value that is wanted."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def in_turns_ms(
    first: Callable[[], object], second: Callable[[], object], *, seconds: float = 1.0
) -> tuple[float, float]:
    """Return the medians of two warm calls, timed in turns so that drift meets both alike."""
    for _ in range(20):
        first()
        second()
    with timing.no_garbage_collection():
        times = timing.time_pairs(first, second, seconds)
    return statistics.median(times[0]) / 1e6, statistics.median(times[1]) / 1e6


def _run(source: bytes, batch: Array) -> Array:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # or sums of quantised products saturate on a CPU without VNNI
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": batch})[0])
