"""Reading and verifying an artifact's ``manifest.json``."""

import hashlib
import json
import math
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .errors import ArtifactError
from .preprocessing import COLORS, RESIZES, Preprocessing

SCHEMA = "edgedeploy.artifact/1"
MANIFEST = "manifest.json"
SOURCE = "source.onnx"  # what a trt artifact's engine is built from
_BESIDE = (SOURCE, "calibration.cache", "build.log")
# What a document of another form makes the parser raise.
_DAMAGED = (
    OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
_SMALLEST_STD = 1e-6


class TensorInfo(NamedTuple):
    """Name, shape (None: any length) and dtype of an engine's input or output."""

    name: str
    shape: Tuple[Optional[int], ...]
    dtype: str


class FileInfo(NamedTuple):
    """One file of an artifact."""

    name: str
    size_bytes: int
    sha256: str


class Manifest(NamedTuple):
    """What an artifact says of itself.

    Attributes:
        model: Name of the model it was built from.
        variant: ``family, alpha, resolution, rho, base_resolution``, or None for a foreign model.
        backend: ``ort``, ``openvino`` or ``trt``.
        backend_version: Version of the library that built it.
        precision: What was asked: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        runs: What the engine reports it runs, convolutions and matrix products by type.
        quantised: How many of them its source quantised; None of another precision than INT8.
        fell_back: Those of them that the engine runs in a float type, where it tells their names.
        input: The image input, ``(N, 3, H, W)`` float32.
        output: The result.
        softmax: Whether the output is already a probability.
        preprocessing: None where nobody said.
        labels: Class names by index, or None.
        engine: Name of the file to open, or to build where it is `waiting`.
        files: Every file, the engine first.
        runs_on: ``{"portable": true}``, or what the engine is bound to; of one that is `waiting`,
            what it was prepared for.
        needs: What a machine must have for the answers to be right, beside `runs_on`:
            ``{"x86": "vnni"}``, or nothing.
        options: Backend options it was built with, e.g. ``{"ov_device": "CPU"}``.
        raw: The whole document.
    """

    model: str
    variant: Optional[Dict[str, Any]]
    backend: str
    backend_version: str
    precision: str
    runs: Dict[str, int]
    quantised: Optional[int]
    fell_back: Tuple[str, ...]
    input: TensorInfo
    output: TensorInfo
    softmax: bool
    preprocessing: Optional[Preprocessing]
    labels: Optional[Tuple[str, ...]]
    engine: str
    files: Tuple[FileInfo, ...]
    runs_on: Dict[str, Any]
    needs: Dict[str, str]
    options: Dict[str, Any]
    raw: Dict[str, Any]

    @property
    def sha256(self) -> str:
        """Identity of the artifact: a SHA-256 over its files, not over when it was built."""
        whole = "".join(f"{f.name}\0{f.sha256}\n" for f in self.files)
        return hashlib.sha256(whole.encode()).hexdigest()

    @property
    def waiting(self) -> bool:
        """Whether it was prepared for a board that builds the engine itself, and has not yet."""
        return self.engine not in [info.name for info in self.files]

    @property
    def size_bytes(self) -> int:
        """Size of what the runtime opens; what a trt engine was built from does not count."""
        return sum(f.size_bytes for f in self.files if f.name not in _BESIDE)


def read(folder: str) -> Manifest:
    """Read ``folder/manifest.json``; `verify` checks the files it names.

    Raises:
        ArtifactError: It is missing, damaged, or of a newer schema.
    """
    path = os.path.join(str(folder), MANIFEST)
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        schema = document["schema"]
        if schema != SCHEMA:
            raise ArtifactError(
                f"{path} has schema {schema!r}, this version reads {SCHEMA!r}",
                fix="update edgedeploy, or build the artifact again with this version",
            )
        return _parse(document)
    except (FileNotFoundError, NotADirectoryError):
        raise _no_artifact(str(folder)) from None
    except _DAMAGED as error:
        raise ArtifactError(
            f"{path} is damaged: {_reason(error)}",
            fix="build the artifact again",
        ) from error


def _reason(error: Exception) -> str:
    """Return what is wrong with a manifest, in words where the error's own have none."""
    if isinstance(error, json.JSONDecodeError):
        return f"it is no JSON: {error}"
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return f"{type(error).__name__}: {error}"


def _no_artifact(folder: str) -> ArtifactError:
    """Say what a path is that is no artifact, and where there is one."""
    if os.path.isfile(folder):
        return ArtifactError(
            f"{folder} is a file, an artifact is a folder with a {MANIFEST}",
            fix="name the folder, e.g. build/MODEL/ort-int8; build one of a model with: edgedeploy "
            "build MODEL --backend ort",
        )
    try:
        inner = sorted(os.listdir(folder))
    except OSError:
        return ArtifactError(
            f"{folder} is no artifact: there is no such folder",
            fix="name an artifact's folder, e.g. build/MODEL/ort-int8",
        )
    found = [name for name in inner if os.path.isfile(os.path.join(folder, name, MANIFEST))]
    return ArtifactError(
        f"{folder} is no artifact: it has no {MANIFEST}",
        fix="name one of those in it: " + ", ".join(os.path.join(folder, name) for name in found)
        if found
        else "build one with: edgedeploy build MODEL --backend ort",
    )


def verify(folder: str, manifest: Manifest) -> None:
    """Compare every file with the size and SHA-256 that the manifest has for it.

    Raises:
        ArtifactError: A file is missing or differs.
    """
    for info in manifest.files:
        path = os.path.join(str(folder), info.name)
        digest = hashlib.sha256()
        try:
            size = os.path.getsize(path)
            with open(path, "rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    digest.update(block)
        except OSError as error:
            raise ArtifactError(
                f"{path} belongs to the artifact and cannot be read: {error.strerror}",
                fix="copy the whole folder again, or build the artifact again",
            ) from error
        if digest.hexdigest() != info.sha256:
            raise ArtifactError(
                f"{path} has {size} bytes and SHA-256 {digest.hexdigest()[:12]}, "
                f"the manifest says {info.size_bytes} bytes and {info.sha256[:12]}",
                fix="copy the whole folder again, or build the artifact again",
            )


def _parse(document: Dict[str, Any]) -> Manifest:
    files = tuple(
        FileInfo(_file_name(f["name"]), int(f["size_bytes"]), str(f["sha256"]))
        for f in document["files"]
    )
    engine = _file_name(document["engine"])
    if engine not in [f.name for f in files] and not _may_wait(document, files):
        raise ValueError(f"engine {engine!r} is not among its files")
    labels = document["labels"]
    if not (labels is None or isinstance(labels, list)):
        raise ValueError(f"labels is a {type(labels).__name__}, not a list")
    image = _tensor(document["inputs"])
    if len(image.shape) != 4 or image.dtype != "float32":
        raise ValueError(f"the input is {image.dtype} {image.shape}, not float32 (N, 3, H, W)")
    variant, precision = document["variant"], document["precision"]
    quantised = precision.get("quantised")
    return Manifest(
        model=_typed(document["model"], str),
        variant=None if variant is None else dict(variant),
        backend=str(document["backend"]),
        backend_version=str(document["backend_version"]),
        precision=str(precision["asked"]),
        runs=dict(precision["runs"]),
        quantised=None if quantised is None else int(quantised),
        fell_back=tuple(str(name) for name in precision.get("fell_back", [])),
        input=image,
        output=_tensor(document["outputs"]),
        softmax=_typed(document["softmax"], bool),
        preprocessing=parse_preprocessing(document["preprocessing"]),
        labels=None if labels is None else tuple(str(label) for label in labels),
        engine=engine,
        files=files,
        runs_on=dict(document["runs_on"]),
        needs=dict(document.get("needs", {})),
        options=dict(document["options"]),
        raw=document,
    )


def _may_wait(document: Dict[str, Any], files: Tuple[FileInfo, ...]) -> bool:
    """Return whether there is all that a board builds the engine from, and no builder's name."""
    built_by = document["runs_on"].get("library_version")
    return document["backend"] == "trt" and built_by is None and SOURCE in [f.name for f in files]


def parse_preprocessing(document: Optional[Dict[str, Any]]) -> Optional[Preprocessing]:
    """Make a `Preprocessing` from its JSON form; None stays None.

    Raises:
        ValueError: A value is out of its range.
    """
    if document is None:
        return None
    if document.get("layout", "NCHW") != "NCHW" or document.get("dtype", "float32") != "float32":
        raise ValueError("preprocessing layout must be NCHW and dtype float32")
    rule = Preprocessing(
        mean=_triple(document["mean"]),
        std=_triple(document["std"]),
        color=document.get("color", "rgb"),
        resize=document.get("resize", "crop"),
        crop_fraction=float(document.get("crop_fraction", 0.875)),
    )
    if rule.color not in COLORS or rule.resize not in RESIZES:
        raise ValueError(f"unknown color {rule.color!r} or resize {rule.resize!r}")
    if not 0 < rule.crop_fraction <= 1 or min(abs(value) for value in rule.std) < _SMALLEST_STD:
        raise ValueError("crop_fraction must lie in (0, 1], std must not be 0")
    return rule


def format_preprocessing(rule: Optional[Preprocessing]) -> Optional[Dict[str, Any]]:
    """Return the JSON form of a `Preprocessing`."""
    if rule is None:
        return None
    return {
        "color": rule.color,
        "resize": rule.resize,
        "crop_fraction": rule.crop_fraction,
        "mean": list(rule.mean),
        "std": list(rule.std),
        "layout": "NCHW",
        "dtype": "float32",
    }


def _triple(values: List[float]) -> Tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    if not all(math.isfinite(v) for v in (red, green, blue)):
        raise ValueError("mean and std must be finite")
    return (red, green, blue)


def _typed(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _file_name(name: str) -> str:
    if not name or os.path.basename(name) != name or name in (".", ".."):
        raise ValueError(f"file name {name!r} points outside the artifact")
    return name


def _tensor(tensors: List[Dict[str, Any]]) -> TensorInfo:
    (tensor,) = tensors
    shape = tuple(None if n is None else int(n) for n in tensor["shape"])
    if any(n is not None and n < 1 for n in shape):
        raise ValueError(f"shape {shape} has a length below 1")
    return TensorInfo(str(tensor["name"]), shape, str(tensor["dtype"]))
