"""Every model of a folder through the whole of edgedeploy: accuracy, latency and size as a table.

    python benchmarks/imagenet_table.py MODELS IMAGES [--duration 5] [--out FOLDER]

MODELS is a folder of ONNX files that take x / 127.5 - 1; IMAGES is labelled (docs/models.md).
Calibration uses the positions i%5<2 of the sorted images. Accuracy is that of all of them; with
ImageNet images it is for comparing precisions, as such models have seen many of them in training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgedeploy import pipeline
from edgedeploy.errors import EdgeDeployError
from edgedeploy.images import open_images
from edgedeploy.model_file import ModelHints
from edgedeploy.profiling.measuring import ProfileSpec
from edgedeploy.runtime import manifest as manifests
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import BuildSpec, Precision

HINTS = ModelHints(preprocessing=Preprocessing(mean=(127.5,) * 3, std=(127.5,) * 3))
SPECS = [
    *(BuildSpec(backend="ort", precision=Precision(p)) for p in ("fp32", "fp16", "int8")),
    *(
        BuildSpec(backend="openvino", precision=Precision(p))
        for p in ("fp32", "fp16", "bf16", "int8")
    ),
]


def main() -> None:
    """Calibrate, build, evaluate, profile, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--duration", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("build/imagenet_table"))
    options = parser.parse_args()
    paths = pipeline.find_models([options.models])
    images = open_images(options.images)
    for path in paths:
        calib, _, _ = pipeline.calibrate(
            path,
            images.every("i%5<2"),
            hints=HINTS,
            method="minmax",
            out=options.out / "calib",
        )
        built = pipeline.build_all(
            [path], SPECS, hints=HINTS, calib=calib, out=options.out / "build", keep_going=True
        )
        for failure in (result for result in built if isinstance(result, pipeline.Failure)):
            print(f"{failure.subject}: {failure.error.problem}")
    folders = pipeline.find_artifacts([options.out / "build"])
    evaluations = dict(pipeline.evaluate(folders, images, class_offset="auto", hints=ModelHints()))
    print("| model | backend | precision | runs | top-1 | agreement | p50 ms | MB | verdict |")
    print("|---|---|---|---|---:|---:|---:|---:|---|")
    for folder in folders:
        about = manifests.read(str(folder))
        found = evaluations[folder]
        try:
            _, record = pipeline.profile(
                folder,
                ProfileSpec(duration_s=options.duration),
                out=options.out / "profiles",
            )
        except EdgeDeployError as error:
            print(f"{folder}: {error.problem}")
            continue
        runs = " ".join(f"{count} {kind}" for kind, count in about.runs.items())
        print(
            f"| {about.model} | {about.backend} | {about.precision} | {runs} | {found.top1:.1%} "
            f"| {found.agreement:.1%} | {record.document['latency_ms']['p50']:.2f} "
            f"| {about.size_bytes / 1e6:.2f} | {record.level} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
