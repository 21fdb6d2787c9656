"""Let the runtime choose among one model's artifacts, and say what it chose and why not the others.

python examples/choose_and_report.py build/mobilenet_v1_0.25_112_cifar10
python examples/choose_and_report.py build/mobilenet_v1_0.25_112_cifar10 --backend ort

The latency it prints is a glance, from one process that does other things too. `edgedeploy profile`
measures: warm-up, conditions, a verdict.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np

from edgedeploy import EdgeDeployError, Runtime

CALLS = 50


def glance_ms(runtime: Runtime) -> float | None:
    """Return the median of a few calls of `infer` in milliseconds; None for a model of any size."""
    height, width = runtime.info["input"]["shape"][2:]
    if height is None or width is None:
        return None
    batch = np.zeros((1, 3, height, width), dtype=np.float32)
    runtime.infer(batch)  # the first call is always slower
    took_ns = []
    for _ in range(CALLS):
        start_ns = time.perf_counter_ns()
        runtime.infer(batch)
        took_ns.append(time.perf_counter_ns() - start_ns)
    return statistics.median(took_ns) / 1e6


def main() -> int:
    """Print the choice, its reasons, and what was passed over."""
    parser = argparse.ArgumentParser(description="Choose an artifact, and say why.")
    parser.add_argument("folder", help="a folder of one model's artifacts")
    parser.add_argument("--backend", help="only this one: trt, openvino or ort")
    parser.add_argument("--precision", help="only this one: fp32, fp16, bf16 or int8")
    options = parser.parse_args()
    with Runtime.load(
        options.folder, backend=options.backend, precision=options.precision
    ) as runtime:
        info = runtime.info
        print(f"chosen:   {info['why']}")
        print(f"library:  {info['library']} on {info['device']}")
        print(f"runs:     {info['runs'] or 'the library does not say'}")
        for left in info["passed_over"]:
            print(f"not:      {left['artifact']}: {left['reason']}")
        took_ms = glance_ms(runtime)
        print("infer:    " + ("takes any size" if took_ms is None else f"about {took_ms:.2f} ms"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgeDeployError as error:  # its text says what is wrong and what to do
        sys.exit(str(error))
