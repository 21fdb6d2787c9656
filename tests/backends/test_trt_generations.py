"""The backend with TensorRT of other generations, acted out as an installed package `tensorrt`.

Run as a script it asks the backend in a process where that is the TensorRT that is found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from edgedeploy.calibration_values import QdqStyle
from edgedeploy.errors import UnsupportedError, UsageError
from edgedeploy.runtime import cuda_memory
from edgedeploy.runtime.trt_options import TrtOptions
from edgedeploy.source_forms import SourceForm
from edgedeploy.types import BuildSpec, Precision

ROOT = Path(__file__).parents[2]
PACKAGE = """
import sys
from tests.runtime.fake_trt import Library
sys.modules[__name__] = Library({generation!r})
"""
CORRECTED = SourceForm(corrected=True)
QDQ = SourceForm(style=QdqStyle.S8, float_weights=True)
TYPED = SourceForm(style=QdqStyle.S8, half=True, oldest_opset=19)
FORMS = {
    "8.2.1": (CORRECTED, SourceForm(), CORRECTED),
    "8.6.1": (QDQ, SourceForm(), CORRECTED),
    "10.3.0": (TYPED, SourceForm(half=True), CORRECTED),
    "11.1.0": (TYPED, SourceForm(half=True), TYPED),
}
MODES = {
    "8.2.1": "implicit, qdq",
    "8.6.1": "qdq, implicit",
    "10.3.0": "typed, qdq, implicit",
    "11.1.0": None,
}


@pytest.mark.parametrize("generation", FORMS)
def test_each_generation_gets_the_source_that_it_reads(generation: str, tmp_path: Path) -> None:
    if cuda_memory.find_gpu() is not None:
        pytest.skip("there is a GPU: candidates are not refused")
    (tmp_path / "tensorrt.py").write_text(PACKAGE.format(generation=generation))
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers["version"] == generation
    int8, fp16, dla = FORMS[generation]
    assert shown(answers["int8"]) == essence(int8)
    assert shown(answers["fp16"]) == essence(fp16)
    assert shown(answers["dla"]) == essence(dla)
    modes = MODES[generation]
    on_gpu = f"--tune compares the INT8 modes {modes} on the GPU"
    expected = on_gpu if modes else "--tune compares INT8 modes, and TensorRT 11 has typed only"
    assert answers["tuned"].startswith(expected)
    assert "it needs an NVIDIA GPU" in answers["built"]


def essence(form: SourceForm) -> tuple[Any, ...]:
    """Return what depends on the mode; opsets are those of the table."""
    style = None if form.style is None else form.style.value
    return style, form.float_weights, form.corrected, form.half, form.oldest_opset


def shown(answer: dict[str, Any]) -> tuple[Any, ...]:
    keys = ("style", "float_weights", "corrected", "half", "oldest_opset")
    return tuple(answer[key] for key in keys)


def _ask() -> dict[str, Any]:
    from edgedeploy import backends

    trt = backends.get("trt")
    int8 = BuildSpec(backend="trt", precision=Precision.INT8)
    dla = TrtOptions(dla_core=0, batch=(1, 1, 1))
    specs = {
        "int8": int8,
        "fp16": BuildSpec(backend="trt", precision=Precision.FP16),
        "dla": BuildSpec(backend="trt", precision=Precision.INT8, trt=dla),
    }
    answers: dict[str, Any] = {"version": trt.version(), "built": _build(trt)}
    for name, spec in specs.items():
        form = trt.source_form(spec)
        answers[name] = asdict(form) | {"style": form.style and form.style.value}
    tuned = BuildSpec(backend="trt", precision=Precision.INT8, trt=TrtOptions(tune=True))
    try:
        answers["tuned"] = ", ".join(made.trt.int8_mode for made in trt.candidates(tuned))
    except UsageError as error:
        answers["tuned"] = error.problem
    return answers


def _build(trt: Any) -> str:
    from tests.models import save, stem

    with tempfile.TemporaryDirectory() as folder:
        source = save(stem(), Path(folder, "source.onnx"))
        Path(folder, "artifact").mkdir()
        try:
            trt.build(source, BuildSpec(backend="trt"), Path(folder, "artifact"))
        except UnsupportedError as error:
            return error.problem
    return "built"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_ask()))
