"""What TensorRT calls back into, made from NVIDIA's own base classes of six versions.

Run as a script it makes them from the bindings that are on its path, and prints what they answer.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.runtime import real_tensorrt, stub_library

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "TRT-8201-EntropyCalibration2\nimage: 3c010204\n"


@pytest.mark.parametrize("version", real_tensorrt.FULL)
def test_calibrator_monitor_and_logger_are_what_this_version_takes(
    version: str, tmp_path: Path
) -> None:
    folder = real_tensorrt.unpacked(version)
    stub_library.write(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        env={**os.environ, "PYTHONPATH": str(folder), "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers["logger"] == ["WARNING: careful"]
    has_calibrator = version.split(".", maxsplit=1)[0] != "11"
    assert answers["calibrator"] == (
        ["ENTROPY_CALIBRATION_2", 1, TABLE, None, True] if has_calibrator else None
    )
    steps = [["p", 0, 2], ["p", 1, 2], True, ["p", 2, 2], False]
    assert answers["monitor"] == (None if version.startswith("8") else steps)


def _answers(trt: Any) -> dict[str, Any]:
    from edgedeploy.runtime import trt_api

    log = trt_api.logger(trt)
    log.log(trt.ILogger.INFO, "fine")
    log.log(trt.ILogger.WARNING, "careful")
    return {
        "logger": list(log.lines),
        "calibrator": _calibrator(trt) if hasattr(trt, "IInt8EntropyCalibrator2") else None,
        "monitor": _monitor(trt) if hasattr(trt, "IProgressMonitor") else None,
    }


def _calibrator(trt: Any) -> list[Any]:
    from edgedeploy.runtime import trt_calibrator

    made = trt_calibrator.attach(trt, SimpleNamespace(), TABLE.encode())
    made.write_calibration_cache(b"other")
    return [
        made.get_algorithm().name,
        made.get_batch_size(),
        made.read_calibration_cache().decode(),
        made.get_batch(["image"]),
        made.refused,
    ]


def _monitor(trt: Any) -> list[Any]:
    from edgedeploy.runtime import trt_progress

    told: list[Any] = []
    config = SimpleNamespace()
    try:
        with trt_progress.watched(trt, config, lambda *step: told.append(step)):
            made = config.progress_monitor
            made.phase_start("p", None, 2)
            told.append(made.step_complete("p", 0))
            made.cancel()
            told.append(made.step_complete("p", 1))
            made.phase_finish("p")
    except KeyboardInterrupt:
        return told
    raise AssertionError("a cancelled build went on")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answers(importlib.import_module("tensorrt_bindings"))))
