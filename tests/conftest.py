from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine is no failure.
settings.register_profile("edgedeploy", deadline=None)
settings.load_profile("edgedeploy")

# In the background of a shell without job control Ctrl-C is ignored, by every process below too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data beside the project: real weights, labelled images, tegrastats lines."""
    folder = Path(os.environ.get("EDGEDEPLOY_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real weights and images are not here ({folder}); set EDGEDEPLOY_DATA")
    return folder
