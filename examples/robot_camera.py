"""Say what a board's camera sees; Python 3.6 will do, so a Jetson as JetPack 4 left it.

python3 robot_camera.py model --rebuild       # the first USB camera
python3 robot_camera.py model --csi           # the camera on the CSI connector

Beside it lies the folder edgedeploy with __init__.py, runtime, meters and worker, or edgedeploy is
installed. NumPy, OpenCV and TensorRT are JetPack's. --rebuild builds the engine where the artifact
was prepared elsewhere, or for another TensorRT; it does nothing where the engine fits.
"""

import argparse
import sys
import time

from edgedeploy import EdgeDeployError, Runtime

# The camera's own processor makes the picture; a frame that nobody has fetched is dropped.
CSI = (
    "nvarguscamerasrc ! video/x-raw(memory:NVMM), width=1280, height=720, framerate=30/1 ! "
    "nvvidconv ! video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR ! "
    "appsink drop=true max-buffers=1"
)


def frames(camera):
    """Yield a camera's frames, (H, W, 3) uint8 BGR, until it has no more."""
    while True:
        got, frame = camera.read()
        if not got:
            return
        yield frame


def open_camera(csi):
    """Return OpenCV's camera."""
    import cv2

    camera = cv2.VideoCapture(CSI, cv2.CAP_GSTREAMER) if csi else cv2.VideoCapture(0)
    if not camera.isOpened():
        sys.exit("the camera does not open: look at ls /dev/video*, and who else has it open")
    return camera


def decide(best):
    """Act on an answer; a robot would stop, turn or grip here."""
    print(f"{best.score:6.1%}  {best.label or best.index}")


def loop(runtime, camera):
    """Classify every frame; return how many there were, and how long each took in ms."""
    count, spent_s = 0, 0.0
    for frame in frames(camera):
        start_s = time.perf_counter()
        best = runtime.classify(frame, top=1, color="bgr")[0]
        spent_s += time.perf_counter() - start_s
        count += 1
        decide(best)
    return count, 1000 * spent_s / max(count, 1)


def main():
    """Run until the camera ends, or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Say what a board's camera sees.")
    parser.add_argument("artifact", help="an artifact, or a folder of one model's artifacts")
    parser.add_argument("--csi", action="store_true", help="the camera on the CSI connector")
    parser.add_argument("--rebuild", action="store_true", help="build the engine here if need be")
    options = parser.parse_args()
    # before the camera: loading may take minutes, and then all frames would be old
    with Runtime.load(options.artifact, rebuild=options.rebuild) as runtime:
        sys.stderr.write("# {}\n".format(runtime.info["why"]))
        count, took_ms = loop(runtime, open_camera(options.csi))
    sys.stderr.write(f"# {count} frames, {took_ms:.1f} ms each, resizing included\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except EdgeDeployError as error:  # its text says what is wrong and what to do
        sys.exit(str(error))
