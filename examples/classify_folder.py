"""Name what is in every picture of a folder, with the best engine that loads on this machine.

python examples/classify_folder.py build/mobilenet_v1_0.25_112_cifar10 pictures/
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from edgedeploy import EdgeDeployError, Runtime

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


def main() -> int:
    """Print one line per picture: file, score, class."""
    parser = argparse.ArgumentParser(description="Name what is in every picture of a folder.")
    parser.add_argument("artifact", help="an artifact, or a folder of one model's artifacts")
    parser.add_argument("pictures", type=Path, help="a folder, searched with all below it")
    parser.add_argument("--top", type=int, default=1, help="answers per picture")
    options = parser.parse_args()
    paths = sorted(p for p in options.pictures.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        parser.error(f"there is no picture in {options.pictures}")
    with Runtime.load(options.artifact) as runtime:
        print(f"# {runtime.info['why']}", file=sys.stderr)
        for path in paths:
            with Image.open(path) as picture:
                frame = np.asarray(picture.convert("RGB"))
            for best in runtime.classify(frame, top=options.top):
                print(f"{path}\t{best.score:.3f}\t{best.label or best.index}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgeDeployError as error:  # its text says what is wrong and what to do
        sys.exit(str(error))
