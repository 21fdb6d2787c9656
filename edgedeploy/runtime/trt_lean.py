"""Engines of an older TensorRT on a newer one, through a lean runtime that is installed for them.

A version-compatible engine needs the lean runtime of the version that built it. It could carry that
library in its own file; ours do not, because code that an artifact carries is never run. Of the
version that built it an engine loads without.
"""

import glob
import os
from typing import Any

from .errors import ArtifactError

VARIABLE = "EDGEDEPLOY_TENSORRT_LEAN"
_NAME = "libnvinfer_lean.so"
_PLACES = ("/usr/lib/*-linux-gnu", "/usr/lib", "/usr/lib64", "/usr/local/lib")


def load(runtime: Any, version: str, folder: str, fix: str) -> Any:
    """Return the runtime of an older version, inside the newer one that is here.

    Args:
        runtime: TensorRT's, of this machine; must outlive what is returned.
        version: Of the TensorRT that built the engine.
        folder: The artifact, for the message.
        fix: What else helps, for the message.

    Raises:
        ArtifactError: That lean runtime is not here, or does not load.
    """
    path = os.environ.get(VARIABLE) or _find(version)
    loaded = runtime.load_runtime(path) if path else None
    if loaded is None:
        state = f"{path} does not load" if path else f"there is no {_NAME}.{version} here"
        raise ArtifactError(
            f"{folder} was built by TensorRT {version}, whose lean runtime a later TensorRT needs "
            f"to run it: {state}",
            fix=f"install the lean runtime of TensorRT {version} and name its {_NAME} in "
            f"{VARIABLE}; or {fix}",
        )
    return loaded


def _find(version: str) -> str:
    """Return where a version's library lies, or nothing."""
    found = [path for place in _PLACES for path in glob.glob(f"{place}/{_NAME}.{version}*")]
    return sorted(found)[0] if found else ""
