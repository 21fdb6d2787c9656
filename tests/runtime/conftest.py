from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtime.build_with import TABLE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> str:
    """The path of a source that acted-out TensorRT takes for ONNX."""
    path = tmp_path / "source.onnx"
    path.write_bytes(b"onnx")
    return str(path)


@pytest.fixture
def cache(tmp_path: Path) -> str:
    """The path of a calibration cache beside it."""
    path = tmp_path / "calibration.cache"
    path.write_bytes(TABLE)
    return str(path)
