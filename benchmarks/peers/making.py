"""The contenders, and making their models in a process of their own; what was made is kept."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import artifact
from edgedeploy.errors import EdgeDeployError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedeploy.types import OnnxModel
    from peers.inputs import Tensors

# Raise it when `worker` makes a peer's model in another way: what is kept is then made anew.
_RECIPE = 1
_WORKER = Path(__file__).with_name("worker.py")
_NEEDS = {"ort": ("onnxruntime", "onnx"), "nncf": ("nncf", "openvino")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A way to quantise.

    Attributes:
        name: In tables.
        kind: What makes it, and where it runs: ``"ort"`` in ONNX Runtime, ``"nncf"`` in OpenVINO.
        settings: For `worker`.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A contender's model of one network.

    Attributes:
        path: ``model.onnx`` or ``model.xml``.
        seconds: That making it took, imports and decoding of pictures left out.
        peak_rss_bytes: Of the process that made it.
        versions: Of the packages there.
        key: Differs where anything that it was made from does.
    """

    path: Path
    seconds: float
    peak_rss_bytes: int
    versions: Mapping[str, str]
    key: str


class NotMeasuredError(EdgeDeployError):
    """A contender could not be made; the others go on."""


def _ort(name: str, activations: str, *, reduce_range: bool = False, method: str = "MinMax") -> Any:
    settings = {"activations": activations, "reduce_range": reduce_range, "method": method}
    return Contender(name=name, kind="ort", settings=settings)


def _nncf(name: str, *, mixed: bool, full: bool, overflow_fix: str | None = None) -> Any:
    settings = {
        "preset": "MIXED" if mixed else None,
        "fast_bias_correction": not full,
        "overflow_fix": overflow_fix,
    }
    return Contender(name=name, kind="nncf", settings=settings)


# The cheap ones first.
PEERS: tuple[Contender, ...] = (
    _ort("ORT u8", "QUInt8"),
    _ort("ORT u8, reduce_range", "QUInt8", reduce_range=True),
    _ort("ORT s8 symmetric", "QInt8"),
    _nncf("NNCF default", mixed=False, full=False),
    _nncf("NNCF MIXED", mixed=True, full=False),
    _nncf("NNCF full bias correction", mixed=False, full=True),
    _nncf("NNCF MIXED, full bias correction", mixed=True, full=True),
    _nncf(
        "NNCF MIXED, full bias correction, overflow_fix", mixed=True, full=True,
        overflow_fix="ENABLE",
    ),
)  # fmt: skip
# Minutes and gigabytes: its calibrator keeps every activation of every picture.
ENTROPY = _ort("ORT u8, entropy", "QUInt8", method="Entropy")


def versions(python: str) -> dict[str, str]:
    """Return the versions of the packages that an interpreter sees.

    Raises:
        NotMeasuredError: There is no such interpreter.
    """
    return _run(python, ["--versions"])


def make(
    contender: Contender, model: OnnxModel, calibration: Tensors, *, python: str, cache: Path
) -> Made:
    """Quantise ``model`` on ``calibration``, unless ``cache`` has it.

    Args:
        contender: How.
        model: Float.
        calibration: What it may look at.
        python: Interpreter of the environment that the quantiser lives in.
        cache: Folder that keeps what is made.

    Raises:
        NotMeasuredError: The quantiser is not installed there, or failed.
    """
    found = versions(python)
    missing = [package for package in _NEEDS[contender.kind] if package not in found]
    if missing:
        raise NotMeasuredError(
            f"{' and '.join(missing)} is not installed for {python}",
            fix="install it in an environment of its own, and pass --peers-python",
        )
    used = {package: found[package] for package in _NEEDS[contender.kind]}
    key = digest(asdict(contender), model.sha256, calibration.digest, used, _RECIPE)
    folder = cache / "models" / f"{model.name}-{key}"
    if not folder.is_dir():
        with artifact.replacing(folder) as beside:
            done = run_job(job(contender, model, calibration, beside), python=python)
            (beside / "made.json").write_text(json.dumps(done))
    about = json.loads((folder / "made.json").read_text())
    return Made(
        path=folder / ("model.xml" if contender.kind == "nncf" else "model.onnx"),
        seconds=about["seconds"],
        peak_rss_bytes=about["peak_rss_bytes"],
        versions=used,
        key=key,
    )


def job(contender: Contender, model: OnnxModel, calibration: Tensors, out: Path) -> dict[str, Any]:
    """Return what `worker` has to be told to put a contender's model into ``out``."""
    return {
        **contender.settings,
        "kind": contender.kind,
        "model": str(model.path.resolve()),
        "input": model.input.name,
        "side": model.side,
        "samples": str(calibration.folder.resolve()),
        "out": str(out.resolve()),
    }


def run_job(told: Mapping[str, Any], *, python: str) -> dict[str, Any]:
    """Run one job of `worker` in a process of its own.

    Raises:
        NotMeasuredError: It failed; the problem has its last line.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "job.json")
        path.write_text(json.dumps(told), encoding="utf-8")
        return _run(python, [str(path)])


def _run(python: str, arguments: list[str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [python, str(_WORKER), *arguments], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise NotMeasuredError(
            f"{python} does not start: {error}", fix="pass the path of an interpreter"
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NotMeasuredError(
            f"{python} ended with {done.returncode}: {last}",
            fix=f"run it by hand: {python} {_WORKER} {' '.join(arguments)}",
        )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def digest(*parts: object) -> str:
    """Return what differs where any of ``parts``, all of them JSON, does."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
