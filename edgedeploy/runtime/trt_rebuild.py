"""Building an artifact's engine again where it is to run: ``python3 -m ….trt_rebuild FOLDER``.

It needs nothing but this folder of ours, TensorRT and the artifact's ``source.onnx``.
"""

import argparse
import hashlib
import json
import os
import sys
from typing import Any, Dict, List

from . import manifest as manifests
from . import trt_build
from .errors import ArtifactError, EdgeDeployError

SOURCE = "source.onnx"


def rebuild(folder: str, trt: Any = None) -> trt_build.BuildReport:
    """Build the engine of ``folder`` again from its ``source.onnx``, and correct its manifest.

    The manifest is written last: where this is interrupted, the artifact no longer verifies, and
    can be rebuilt.

    Args:
        folder: A trt artifact.
        trt: TensorRT's Python package; None takes the first that is installed.

    Raises:
        ArtifactError: It is no trt artifact, or its ``source.onnx`` is missing or was changed.
        BuildError: TensorRT refused the source.
        FileError: The folder cannot be written to.
        MissingDependencyError: There is no TensorRT.
    """
    known = manifests.read(folder)
    source = [info for info in known.files if info.name == SOURCE]
    if known.backend != "trt" or not source:
        raise ArtifactError(
            f"{folder} is of backend {known.backend!r} and has the files "
            f"{', '.join(info.name for info in known.files)}; trt and {SOURCE} are needed",
            fix=f"build it: edgedeploy build {known.model}.onnx --backend trt --{known.precision}",
        )
    manifests.verify(folder, known._replace(files=tuple(source)))
    report = trt_build.build_engine(
        os.path.join(folder, SOURCE),
        os.path.join(folder, known.engine),
        precision=known.precision,
        trt=trt,
    )
    files = [_entry(folder, name) for name in (*report.files, SOURCE)]
    document = _corrected(known.raw, report, files)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    trt_build.write(os.path.join(folder, manifests.MANIFEST), text.encode("utf-8"))
    return report


def _corrected(
    document: Dict[str, Any], report: trt_build.BuildReport, files: List[Dict[str, Any]]
) -> Dict[str, Any]:
    changed = dict(document)
    changed["precision"] = dict(document["precision"], runs=report.runs)
    changed["precision"].pop("fell_back", None)  # it was another engine that told
    changed["backend_version"] = report.version
    changed["library"] = report.library
    changed["runs_on"] = report.runs_on
    changed["files"] = files
    return changed


def _entry(folder: str, name: str) -> Dict[str, Any]:
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read()
    return {"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def main(arguments: List[str]) -> int:
    """Rebuild the artifacts that are named; return the exit code."""
    parser = argparse.ArgumentParser(description="Build TensorRT artifacts again, on this machine.")
    parser.add_argument("folder", nargs="+", help="a trt artifact with its source.onnx")
    for folder in parser.parse_args(arguments).folder:
        try:
            report = rebuild(folder)
        except EdgeDeployError as error:
            sys.stderr.write(f"error: {error}\n")
            return error.exit_code
        sys.stdout.write(f"{folder}: built by {report.library} {report.version}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
