from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data beside the project: real weights, labelled images, tegrastats lines."""
    folder = Path(
        os.environ.get("EDGEDEPLOY_DATA", Path(__file__).parents[2] / "shared" / "data")
    )
    if not folder.is_dir():
        pytest.skip(f"the real weights and images are not here ({folder}); set EDGEDEPLOY_DATA")
    return folder
