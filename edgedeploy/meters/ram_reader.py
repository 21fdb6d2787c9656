"""A process that asks ``tegrastats`` once how much RAM is in use, and ends with it.

``python -m edgedeploy.meters.ram_reader ROOT`` prints one line of JSON: ``ram_used_mb`` in MiB, and
``reason`` where that is null.
"""

import json
import select
import sys
from typing import List, Optional, Tuple

from . import parent, tegrastats_process
from .counters import monotonic_ns

_INTERVAL_MS = 100
_PATIENCE_S = 3.0


def read(root: str = "/", patience_s: float = _PATIENCE_S) -> Tuple[Optional[int], Optional[str]]:
    """Return the MiB of RAM in use, or None and why that is not known.

    Args:
        root: Where the file system starts.
        patience_s: To wait for a line, at most.
    """
    reader, reason = tegrastats_process.start(root, _INTERVAL_MS)
    if reader is None:
        return None, reason
    file, has_records = reader.fileno(), False
    assert file is not None  # it is a program's output
    until_ns = monotonic_ns() + int(patience_s * 1e9)
    try:
        while reader.ended is None:
            left_s = (until_ns - monotonic_ns()) / 1e9
            if left_s <= 0 or not select.select([file], [], [], left_s)[0]:
                break
            for sample in reader.read():
                if sample.ram_used_mb is not None:
                    return sample.ram_used_mb, None
                has_records = True
        said = "it prints no RAM" if has_records else reader.complaint()
        return None, f"{said}; {reader.ended or f'waited for {patience_s:g} s'}"
    finally:
        reader.close()


def main(arguments: List[str]) -> int:
    """Print what `read` returns for the root ``arguments[0]``; return the exit code."""
    used_mb, reason = read(arguments[0])
    sys.stdout.write(json.dumps({"ram_used_mb": used_mb, "reason": reason}) + "\n")
    return 0


if __name__ == "__main__":
    parent.die_with_parent()
    sys.exit(main(sys.argv[1:]))
