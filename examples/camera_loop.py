"""Classify what a camera sees, always the newest frame; or, without a camera, a folder of frames.

python examples/camera_loop.py build/mobilenet_v1_0.25_112_cifar10 --camera 0
python examples/camera_loop.py build/mobilenet_v1_0.25_112_cifar10 --folder frames/

A camera delivers frames whether they are wanted or not, and a loop that is slower than the camera
would work on older and older ones. So one thread reads, and keeps the newest frame only.
"""

from __future__ import annotations

import argparse
import contextlib
import queue
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy import EdgeDeployError, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

Frame = Any  # (H, W, 3) uint8


class NewestOnly:
    """Hands over the newest frame of a source, and drops those that nobody has fetched."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self.dropped = 0
        self._slot: queue.Queue[Frame | None] = queue.Queue(maxsize=1)
        threading.Thread(target=self._read, args=(frames,), daemon=True).start()

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the source ends."""
        while (frame := self._slot.get()) is not None:
            yield frame

    def _read(self, frames: Iterator[Frame]) -> None:
        try:
            for frame in frames:
                with contextlib.suppress(queue.Empty):
                    self._slot.get_nowait()
                    self.dropped += 1
                self._slot.put(frame)
        finally:  # also where the source fails: nobody shall wait for ever
            self._slot.put(None)


def from_camera(number: int) -> Iterator[Frame]:
    """Yield a camera's frames, BGR."""
    try:
        import cv2
    except ImportError:
        sys.exit(
            "--camera needs OpenCV: on a Jetson use JetPack's (python3-opencv), elsewhere\n"
            "  pip install opencv-python-headless\n"
            "without it, classify stored frames with --folder"
        )
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        sys.exit(f"there is no camera {number}; on Linux look at /dev/video*")
    return _read_camera(camera)


def _read_camera(camera: Any) -> Iterator[Frame]:
    try:
        while True:
            got, frame = camera.read()
            if not got:
                return
            yield frame
    finally:
        camera.release()


def from_folder(folder: Path) -> Iterator[Frame]:
    """Yield a folder's pictures in order of their names, RGB."""
    from PIL import Image

    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not paths:
        sys.exit(f"there is no picture in {folder}")
    return (np.asarray(Image.open(path).convert("RGB")) for path in paths)


def loop(runtime: Runtime, frames: Iterator[Frame], color: str) -> int:
    """Print a line per frame: time to classify it, score, class; return how many there were."""
    count = 0
    for frame in frames:
        count += 1
        start_ns = time.perf_counter_ns()
        best = runtime.classify(frame, top=1, color=color)[0]
        took_ms = (time.perf_counter_ns() - start_ns) / 1e6
        print(f"{took_ms:7.1f} ms  {best.score:6.1%}  {best.label or best.index}", flush=True)
    return count


def main() -> int:
    """Run until the frames end, or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Classify what a camera sees.")
    parser.add_argument("artifact", help="an artifact, or a folder of one model's artifacts")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--camera", type=int, help="OpenCV's number of the camera, e.g. 0")
    source.add_argument("--folder", type=Path, help="stored frames, each classified once")
    options = parser.parse_args()
    with Runtime.load(options.artifact) as runtime:
        print(f"# {runtime.info['why']}", file=sys.stderr)
        if options.camera is None:
            count, dropped = loop(runtime, from_folder(options.folder), "rgb"), 0
        else:
            newest = NewestOnly(from_camera(options.camera))
            count, dropped = loop(runtime, iter(newest), "bgr"), newest.dropped
    print(f"# {count} frames, {dropped} dropped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except EdgeDeployError as error:  # its text says what is wrong and what to do
        sys.exit(str(error))
