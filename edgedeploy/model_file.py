"""ONNX files: opened safely, checked, described; and the metadata that ours carry."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model

from edgedeploy.errors import FileError, UsageError
from edgedeploy.files import sha256
from edgedeploy.runtime.manifest import format_preprocessing, parse_preprocessing
from edgedeploy.types import Family, OnnxModel, TensorSpec, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.runtime.preprocessing import Preprocessing

BASE_RESOLUTION = 224


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHints:
    """What the user adds for a model whose file does not say it.

    Attributes:
        preprocessing: From ``--mean`` and ``--std``.
        labels: From ``--labels``.
        side: Height and width in pixels, from ``--input-shape`` or ``--resolution``.
    """

    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] | None = None
    side: tuple[int, int] | None = None


def read(path: Path, hints: ModelHints | None = None) -> OnnxModel:
    """Open and describe a model.

    Size, preprocessing and labels are the first of: the graph, its metadata, ``<stem>.json``
    beside it, ``hints``, the variant in its name; sources that disagree on the size are refused.

    Raises:
        FileError: It is no ONNX model of one image, or is damaged, or reaches outside its folder.
    """
    hints = hints or ModelHints()
    proto, digest = _opened(path)
    about = {**_beside(path), **_metadata(proto, path)}
    image, output = _single_input(proto, path), _single_output(proto, path)
    variant = about.get("variant") or Variant.from_name(path.stem)
    labels = hints.labels or about.get("labels")
    _check_labels(path, labels, output)
    side = _agreed_side(path, image, about, hints, variant)
    return OnnxModel(
        path=path,
        sha256=digest,
        input=replace(image, shape=(image.shape[0], 3, *(side or (None, None)))),
        output=output,
        softmax=_ends_in_softmax(proto),
        preprocessing=hints.preprocessing or about.get("preprocessing"),
        labels=labels,
        variant=variant,
        base_resolution=about.get("base_resolution", BASE_RESOLUTION),
    )


def load_proto(path: Path) -> onnx.ModelProto:
    """Return the model itself, with its external data, after ONNX's own checks.

    Raises:
        FileError: It is missing, no ONNX, damaged, or names external data outside its folder.
    """
    return _opened(path)[0]


def _opened(path: Path) -> tuple[onnx.ModelProto, str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}", fix="pass the path of an .onnx file"
        ) from error
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise _no_onnx(path, f"{len(data)} bytes that are no protobuf") from error
    if not proto.graph.node:
        raise _no_onnx(path, f"{len(data)} bytes without a graph")
    external = sorted(set(_external_files(proto, path)))
    for file in external:
        if not file.is_file():
            raise FileError(
                f"{path} keeps weights in {file.name}, which is not beside it",
                fix="copy the external data file into the model's folder",
            )
    digest = _sha256(data, external)
    try:
        load_external_data_for_model(proto, str(path.parent))
        onnx.checker.check_model(onnx.shape_inference.infer_shapes(proto))
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,
        TypeError,
        OSError,
    ) as error:
        raise _no_onnx(path, f"ONNX refuses it: {str(error).strip().splitlines()[0]}") from error
    return proto, digest


def set_metadata(
    proto: onnx.ModelProto,
    *,
    variant: Variant | None,
    base_resolution: int,
    preprocessing: Preprocessing | None,
    labels: tuple[str, ...] | None,
) -> None:
    """Write what the graph cannot say into ``metadata_props``, sorted, without what is None."""
    entries: dict[str, Any] = {
        "variant": variant
        and {
            "family": variant.family.value,
            "alpha": variant.alpha,
            "resolution": variant.resolution,
        },
        "base_resolution": base_resolution,
        "preprocess": format_preprocessing(preprocessing),
        "labels": labels,
    }
    del proto.metadata_props[:]
    for key in sorted(entries):
        if entries[key] is not None:
            text = json.dumps(entries[key], ensure_ascii=False)
            proto.metadata_props.add(key=f"edgedeploy.{key}", value=text)


def with_side(model: OnnxModel, side: tuple[int, int], *, source: str) -> OnnxModel:
    """Give a model of unknown size a size; a known one must agree.

    Raises:
        UsageError: The model has another size.
    """
    if model.side not in (None, side):
        raise _sides_differ(model.path, {"the model": model.side, source: side})
    return replace(model, input=replace(model.input, shape=(*model.input.shape[:2], *side)))


def _metadata(proto: onnx.ModelProto, path: Path) -> dict[str, Any]:
    entries = {
        prop.key.removeprefix("edgedeploy."): prop.value
        for prop in proto.metadata_props
        if prop.key.startswith("edgedeploy.")
    }
    try:
        return _parsed({key: json.loads(value) for key, value in entries.items()})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileError(
            f"{path}: its edgedeploy metadata are damaged: {error}",
            fix="export the model again, or remove its metadata_props",
        ) from error


def _beside(path: Path) -> dict[str, Any]:
    """Read ``<stem>.json``, which has the metadata's keys, and ``side``: [height, width]."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        return _parsed(json.loads(beside.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(
            f"{beside} does not describe {path.name}: {error}",
            fix="see docs/models.md for its keys, or move it away",
        ) from error


def _parsed(document: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if document.get("variant") is not None:
        found = document["variant"]
        about["variant"] = Variant(
            Family.parse(str(found["family"])), float(found["alpha"]), int(found["resolution"])
        )
    if document.get("base_resolution") is not None:
        about["base_resolution"] = int(document["base_resolution"])
        if about["base_resolution"] < 1:
            raise ValueError(f"base_resolution is {about['base_resolution']}")
    if document.get("preprocess") is not None:
        about["preprocessing"] = parse_preprocessing(document["preprocess"])
    if document.get("labels") is not None:
        about["labels"] = tuple(str(label) for label in document["labels"])
    if document.get("side") is not None:
        height, width = document["side"]
        about["side"] = (int(height), int(width))
    return about


def _single_input(proto: onnx.ModelProto, path: Path) -> TensorSpec:
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise FileError(
            f"{path} has {len(inputs)} inputs ({names}), a model here takes one image",
            fix="export it with the image as its only input and the others as constants",
        )
    spec = _spec(inputs[0])
    if spec.dtype != "float32" or len(spec.shape) != 4 or spec.shape[1] not in (None, 3):
        raise FileError(
            f"{path}: input {spec.name!r} is {spec.dtype} {spec}, a model here takes "
            "float32 (N, 3, H, W)",
            fix="export it with one NCHW float32 image input",
        )
    return spec


def _single_output(proto: onnx.ModelProto, path: Path) -> TensorSpec:
    if len(proto.graph.output) != 1:
        names = ", ".join(value.name for value in proto.graph.output)
        raise FileError(
            f"{path} has {len(proto.graph.output)} outputs ({names}), a model here returns one",
            fix="cut the graph to one output, for example with onnx.utils.extract_model",
        )
    spec = _spec(proto.graph.output[0])
    if spec.shape:
        return spec
    inferred = onnx.shape_inference.infer_shapes(proto)  # the file leaves output shapes out
    return _spec(inferred.graph.output[0])


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(
        dim.dim_value if dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0 else None
        for dim in tensor.shape.dim
    )
    kind = TensorProto.DataType.Name(tensor.elem_type).lower()
    return TensorSpec(value.name, shape, {"float": "float32", "double": "float64"}.get(kind, kind))


def _check_labels(path: Path, labels: tuple[str, ...] | None, output: TensorSpec) -> None:
    classes = output.shape[-1] if len(output.shape) == 2 else None
    if labels is not None and classes is not None and len(labels) != classes:
        raise UsageError(
            f"there are {len(labels)} labels for the {classes} classes of {path}",
            fix="give one name per output, in order; a background class comes first",
        )


def _ends_in_softmax(proto: onnx.ModelProto) -> bool:
    name = proto.graph.output[0].name
    return any(n.op_type == "Softmax" and name in n.output for n in proto.graph.node)


def _agreed_side(
    path: Path,
    image: TensorSpec,
    about: dict[str, Any],
    hints: ModelHints,
    variant: Variant | None,
) -> tuple[int, int] | None:
    height, width = image.shape[2:]
    stated = about.get("variant")
    found = {
        "the graph": None if height is None or width is None else (height, width),
        "its metadata": about.get("side") or (stated and (stated.resolution, stated.resolution)),
        "the command line": hints.side,
    }
    sides = {source: side for source, side in found.items() if side is not None}
    if len(set(sides.values())) > 1:
        raise _sides_differ(path, sides)
    if sides:
        return next(iter(sides.values()))
    return None if variant is None else (variant.resolution, variant.resolution)


def _sides_differ(path: Path, sides: dict[str, tuple[int, int] | None]) -> UsageError:
    said = ", ".join(f"{source} says {side[0]}x{side[1]}" for source, side in sides.items() if side)
    return UsageError(
        f"{path}: {said}", fix="leave --input-shape and --resolution out, or export it at that size"
    )


def _external_files(proto: onnx.ModelProto, path: Path) -> Iterator[Path]:
    """Yield the external data files, refusing any outside the model's folder."""
    folder = path.parent.resolve()
    for tensor in _tensors(proto.graph):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        location = ExternalDataInfo(tensor).location
        target = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not target.is_relative_to(folder):
            raise FileError(
                f"{path}: tensor {tensor.name!r} keeps its data outside the model's folder: "
                f"{location!r}",
                fix="do not use this file, or save it again with its data beside it",
            )
        yield target


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _sha256(data: bytes, external: list[Path]) -> str:
    digest = hashlib.sha256(data)
    for file in external:
        digest.update(bytes.fromhex(sha256(file)))
    return digest.hexdigest()


def _no_onnx(path: Path, reason: str) -> FileError:
    return FileError(
        f"{path} is not an ONNX model that can be used: {reason}",
        fix="export it again; a model is one .onnx file with one image input",
    )
