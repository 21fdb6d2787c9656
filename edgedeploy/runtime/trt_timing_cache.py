"""What earlier builds have timed: one file per library, version and GPU, in a folder of its own.

A file is a line of ours with a checksum, then the bytes of TensorRT, which are never handed to it
damaged.
"""

import hashlib
import os
import re
import tempfile
from typing import Any, Optional

from . import trt_api
from .cuda_memory import Gpu

# Names the folder, or says "off".
VARIABLE = "EDGEDEPLOY_TIMING_CACHE"
_TITLE = b"edgedeploy timing cache 1 "


def default_folder() -> str:
    """Return where timing caches lie: ``$XDG_CACHE_HOME`` or ``~/.cache``, then ours."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "edgedeploy", "tensorrt")


def chosen_folder() -> Optional[str]:
    """Return the folder that ``EDGEDEPLOY_TIMING_CACHE`` names, else the default; None if "off"."""
    asked = os.environ.get(VARIABLE, "")
    return None if asked == "off" else asked or default_folder()


def place(folder: str, trt: Any, gpu: Gpu) -> str:
    """Return the file of a library, its version and a GPU.

    Timings of another version or another GPU would be refused by TensorRT, or mislead it.
    """
    words = (trt.__name__, trt.__version__, gpu.name, "sm" + gpu.compute_capability)
    safe = [re.sub(r"[^A-Za-z0-9._]+", "_", str(word)) for word in words]
    return os.path.join(folder, "-".join(safe) + ".timing")


def load(config: Any, log: Any, path: str) -> None:
    """Give a build what earlier ones have timed, or an empty cache to fill.

    A file that is damaged or of another machine is passed over, with a line in the log.
    """
    cache = _open(config, log, path)
    if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
        return
    if cache is not None:
        trt_api.note(log, f"the timing cache {path} is of another GPU or TensorRT: timed anew")
    config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def save(config: Any, log: Any, path: str) -> None:
    """Keep what a build has timed, with what builds beside it have kept meanwhile.

    A folder that cannot be written to costs time later, not this build: a line in the log.
    """
    cache = config.get_timing_cache()
    if cache is None:  # TensorRT took none
        return
    others = _open(config, log, path)
    if others is not None:
        cache.combine(others, ignore_mismatch=False)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, bytes(memoryview(cache.serialize())))
    except OSError as error:
        trt_api.note(log, f"the timing cache {path} cannot be written: {error.strerror}")


def _open(config: Any, log: Any, path: str) -> Optional[Any]:
    """Return TensorRT's cache of a file; None where there is none, or it is damaged."""
    try:
        with open(path, "rb") as file:
            title, _, data = file.read().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        trt_api.note(log, f"the timing cache {path} cannot be read: {error.strerror}")
        return None
    if title != _title(data):
        trt_api.note(log, f"the timing cache {path} is damaged: timed anew")
        return None
    return config.create_timing_cache(data)


def _title(data: bytes) -> bytes:
    return _TITLE + hashlib.sha256(data).hexdigest().encode()


def _write(path: str, data: bytes) -> None:
    """Write by renaming a file of its own name, so that builds beside each other do not mix."""
    handle, part = tempfile.mkstemp(dir=os.path.dirname(path), suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_title(data) + b"\n" + data)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)
