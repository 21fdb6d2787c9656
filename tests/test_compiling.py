"""Of several ways to build the same, the fastest is kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from edgedeploy import compiling, model_file
from edgedeploy.calibration_values import Calibration, QdqStyle, TensorRange
from edgedeploy.errors import BuildError
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.runtime.trt_options import TrtOptions
from edgedeploy.source_forms import SourceForm
from edgedeploy.types import BuildSpec, Built, Precision, no_steps
from tests.models import save, stem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.types import OnnxModel, Steps

INT8 = BuildSpec(backend="trt", precision=Precision.INT8, trt=TrtOptions(tune=True))


@dataclass
class Acted:
    """A backend that writes the mode into its engine, and takes as long as it is told."""

    latencies_ms: dict[str, float | None]
    seen: list[list[str]] = field(default_factory=list)

    def version(self) -> str:
        return "8.5.2"

    def precisions(self) -> frozenset[Precision]:
        return frozenset(Precision)

    def source_form(self, spec: BuildSpec) -> SourceForm:
        implicit = spec.trt.int8_mode == "implicit"
        return SourceForm(style=None if implicit else QdqStyle.S8, corrected=implicit)

    def candidates(self, spec: BuildSpec) -> tuple[BuildSpec, ...]:
        return tuple(
            replace(spec, trt=spec.trt._replace(int8_mode=mode)) for mode in self.latencies_ms
        )

    def fits(self, runs_on: Mapping[str, object]) -> bool:
        return bool(runs_on)

    def build(
        self, source: Path, spec: BuildSpec, folder: Path, *, progress: Steps = no_steps
    ) -> Built:
        mode = spec.trt.int8_mode
        progress("timing kernels", 1, 2)
        latency_ms = self.latencies_ms[mode]
        self.seen.append(sorted(path.name for path in source.parent.iterdir()))
        if latency_ms is None:
            raise BuildError(f"no kernel for {mode}", fix="take another mode")
        (folder / "model.engine").write_text(mode)
        return Built(
            engine="model.engine",
            files=("model.engine",),
            runs={"int8": 1},
            runs_on={"portable": False},
            int8_mode=mode,
            latency_ms=latency_ms,
        )


@pytest.fixture
def model(tmp_path: Path) -> OnnxModel:
    found = model_file.read(save(stem(), tmp_path / "stem.onnx"))
    return model_file.with_side(found, (8, 8), source="the test")


@pytest.fixture
def calibration(model: OnnxModel) -> Calibration:
    six = TensorRange(0, 6, 0, 6)
    return Calibration(
        model_sha256=model.sha256,
        data_digest="00",
        data_count=1,
        method="minmax",
        side=(8, 8),
        preprocessing=Preprocessing((127.5,) * 3, (127.5,) * 3),
        ranges={"image": TensorRange(-1, 1, -1, 1), "r": six, "p": six, "logits": six},
        versions={},
    )


@pytest.mark.parametrize(
    ("latencies_ms", "fastest"),
    [({"qdq": 2.0, "implicit": 1.0}, "implicit"), ({"qdq": 1.0, "implicit": 2.0}, "qdq")],
)
def test_the_fastest_candidate_is_left_alone_in_the_folder(
    model: OnnxModel,
    calibration: Calibration,
    tmp_path: Path,
    latencies_ms: dict[str, float | None],
    fastest: str,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    built, about = compiling.compile_fastest(Acted(latencies_ms), model, INT8, calibration, out)
    assert [path.name for path in out.iterdir()] == ["model.engine"]
    assert (out / "model.engine").read_text() == fastest == built.int8_mode == about["int8_mode"]
    assert about["tried"] == {m: {"latency_ms": ms} for m, ms in latencies_ms.items()}
    assert (about["quantised"], about["fell_back"]) == (1, [])


def test_a_refused_candidate_is_told_and_the_other_kept(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    acted = Acted({"typed": None, "qdq": 3.0})
    out = tmp_path / "out"
    out.mkdir()
    built, about = compiling.compile_fastest(acted, model, INT8, calibration, out)
    assert built.int8_mode == "qdq"
    refused = f"{model.path}: no kernel for typed"
    assert about["tried"]["typed"] == {"latency_ms": None, "reason": refused}


def test_it_fails_as_the_first_candidate_does_when_all_are_refused(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    acted = Acted({"typed": None, "qdq": None})
    with pytest.raises(BuildError, match="no kernel for typed"):
        compiling.compile_fastest(acted, model, INT8, calibration, tmp_path)


def test_only_the_implicit_mode_is_given_a_calibration_cache(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    acted = Acted({"qdq": 1.0, "implicit": 1.0})
    compiling.compile_fastest(acted, model, INT8, calibration, tmp_path)
    assert acted.seen == [["source.onnx"], ["calibration.cache", "source.onnx"]]


def test_what_the_vendor_tells_of_each_candidate_is_passed_on(
    model: OnnxModel, calibration: Calibration, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    acted = Acted({"qdq": 1.0, "implicit": 1.0})
    compiling.compile_fastest(
        acted, model, INT8, calibration, tmp_path, progress=lambda *step: told.append(step)
    )
    assert told == [("timing kernels", 1, 2)] * 2
