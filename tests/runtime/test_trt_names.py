"""Every TensorRT name that the code touches, looked up in NVIDIA's binding wheels.

The wheels do not load without libnvinfer, but hold each Python name in their shared object:

    pip download --no-deps -d WHEELS tensorrt-bindings==8.6.1
    pip download --no-deps -d WHEELS tensorrt-cu12-bindings==10.3.0        (and other versions)
    EDGEDEPLOY_TENSORRT_WHEELS=WHEELS pytest tests/runtime/test_trt_names.py
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path

import pytest

NAMES: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("tensorrt_names.json").read_text(encoding="utf-8")
)["names"]
BINDINGS_API = {
    "binding_is_input", "execute_async_v2", "get_binding_dtype", "get_binding_name",
    "get_binding_shape", "get_profile_shape", "max_workspace_size", "num_bindings",
    "set_binding_shape",
}  # fmt: skip
# Major version -> names that it does not have, and that the code asks for with hasattr only.
# Linkers keep one copy of strings that end alike, so INT8 is seen wherever UINT8 is.
ABSENT = {
    8: {"STRONGLY_TYPED", "node_name", "node_operator"},
    10: BINDINGS_API,
    11: BINDINGS_API | {"FP16", "EXPLICIT_BATCH"},
}
FOLDER = os.environ.get("EDGEDEPLOY_TENSORRT_WHEELS", "")
WHEELS = sorted(Path(FOLDER).glob("tensorrt*bindings-*.whl")) if FOLDER else []


@pytest.mark.skipif(not WHEELS, reason="EDGEDEPLOY_TENSORRT_WHEELS names no folder of wheels")
@pytest.mark.parametrize("wheel", WHEELS, ids=lambda path: "-".join(path.name.split("-")[:2]))
def test_wheel_has_every_name_but_those_of_other_generations(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [name for name in archive.namelist() if name.endswith("/tensorrt.so")]
        library = archive.read(member)
    match = re.search(r"-(\d+)\.", wheel.name)
    assert match is not None
    names = {name for owner in NAMES.values() for name in owner}
    missing = {name for name in names if name.encode() + b"\0" not in library}
    assert missing == ABSENT[int(match[1])]
