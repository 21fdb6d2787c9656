"""CPU time that parsing a tegrastats line takes.

    python benchmarks/tegrastats.py LOG...

Prints the mean over all lines, the least of 15 rounds, in microseconds.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from edgedeploy.meters.tegrastats import parse_line


def main() -> None:
    """Time the lines of the files that are named."""
    lines = [line for path in sys.argv[1:] for line in Path(path).read_text().splitlines() if line]
    best_s = float("inf")
    for _ in range(15):
        start_s = time.process_time()
        for line in lines:
            parse_line(line)
        best_s = min(best_s, time.process_time() - start_s)
    print(f"{len(lines)} lines, {best_s / len(lines) * 1e6:.1f} µs of CPU time a line")


if __name__ == "__main__":
    main()
