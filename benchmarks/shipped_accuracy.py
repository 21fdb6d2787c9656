"""Collect the ``eval.json`` of the shipped models' artifacts into ``models/accuracy.json``.

edgedeploy eval --data cifar10-jpeg.zip/test
python benchmarks/shipped_accuracy.py [--build build] [--models models]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edgedeploy import artifact, evaluating
from edgedeploy.files import write_atomically
from edgedeploy.runtime import manifest as manifests


def main() -> None:
    """Write the file that `edgedeploy.profiling.accuracy` reads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    options = parser.parse_args()
    shipped = {path.stem for path in options.models.glob("*.onnx")}
    models: dict[str, dict[str, Any]] = {}
    dates = []
    for folder in artifact.find([options.build]):
        about, found = manifests.read(str(folder)), evaluating.read(folder)
        if found is None or about.model not in shipped:
            continue
        entry = models.setdefault(about.model, {"model_sha256": about.raw["model_sha256"]})
        if about.precision == "int8":
            entry["calibration_sha256"] = about.raw["calibration_sha256"]
        entry[f"{about.backend}-{about.precision}"] = {
            "top1": found.top1,
            "top5": found.top5,
            "agreement": found.agreement,
            "count": found.count,
            "data": found.data,
            "data_digest": found.data_digest,
        }
        dates.append(found.date)
    document = {"schema": "edgedeploy.accuracy/1", "date": max(dates), "models": models}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    write_atomically(options.models / "accuracy.json", text.encode())


if __name__ == "__main__":
    main()
