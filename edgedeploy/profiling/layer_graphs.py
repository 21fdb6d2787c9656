"""The graph behind an engine, read for what its layers are and what they have to compute."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import onnx
from google.protobuf.message import DecodeError

from edgedeploy.errors import FileError
from edgedeploy.graph import openvino_graph, operations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedeploy.graph.operations import Op

_SOURCE = "source.onnx"  # what a trt artifact's engine was built from


def read(folder: Path, engine: str, shape: Sequence[int]) -> tuple[Op, ...] | None:
    """Read the graph of an artifact, in the order of its file, constants left out.

    Args:
        folder: The artifact.
        engine: Its file.
        shape: Of the input, ``(N, 3, H, W)``; what is counted is counted for one image, or for as
            many as the file fixes.

    Returns:
        None where the artifact holds no graph: an engine of TensorRT without its source.

    Raises:
        FileError: The file is there and is damaged.
    """
    path = folder / engine
    if path.suffix not in (".onnx", ".xml"):
        path = folder / _SOURCE
    if not path.exists():
        return None
    try:
        if path.suffix == ".xml":
            return openvino_graph.from_ir(ElementTree.parse(path).getroot())
        model = onnx.load(path, load_external_data=False)
        return operations.from_onnx(model, (operations.batch_of(model), *shape[1:]))
    except (
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        DecodeError,
        ElementTree.ParseError,
    ) as error:
        raise FileError(f"{path} cannot be read as a graph: {error}", fix="build it again") from (
            error
        )
