"""A program called ``tegrastats`` that prints what a test wants, line by line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PERIOD_S = 0.004

NANO = (
    "RAM 1200/3964MB (lfb 70x4MB) SWAP 12/1982MB (cached 1MB) IRAM 0/252kB(lfb 252kB) "
    "CPU [12%@921,34%@921,off,off] EMC_FREQ 4%@1600 GR3D_FREQ 62%@460 APE 25 PLL@30C CPU@33.5C "
    "PMIC@100C GPU@31C AO@40.5C thermal@32.25C POM_5V_IN 3000/2900 POM_5V_GPU 700/600 "
    "POM_5V_CPU 800/700"
)
ORIN_NANO = (
    "10-16-2026 10:59:22 RAM 1205/7620MB (lfb 6x4MB) SWAP 0/3810MB (cached 0MB) "
    "CPU [7%@729,9%@729,0%@729,1%@729,off,off] GR3D_FREQ 31%@[305] cpu@43.5C tj@44.062C "
    "VDD_IN 5000mW/4788mW VDD_CPU_GPU_CV 800mW/798mW VDD_SOC 1400mW/1500mW"
)
WITHOUT_RAILS = NANO[: NANO.index(" POM_5V_IN")]

_HEAD = f"""#!{sys.executable} -IS
import os, sys, time
assert sys.argv[1] == "--interval" and int(sys.argv[2]) > 0, sys.argv
def say(text, end="\\n"):
    sys.stdout.write(text + end)
    sys.stdout.flush()
    time.sleep({PERIOD_S})
"""


def install(folder: Path, does: str, line: str = NANO) -> Path:
    """Write the program; return its folder, for ``PATH``.

    Args:
        folder: Where to; made if it is not there.
        does: Python statements; ``say(text)`` prints a line and waits for `PERIOD_S`, ``LINE`` is
            the line.
        line: What it says when all is well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "tegrastats"
    program.write_text(f"{_HEAD}LINE = {line!r}\n{does}\n")
    program.chmod(0o755)
    return folder


FOREVER = "while True: say(LINE)"
DIES = "for _ in range(30): say(LINE)\nsys.exit(3)"
STALLS = "for _ in range(30): say(LINE)\ntime.sleep(60)"
GARBAGE = "while True: say('\\x00\\x1b[31mnvmap: \\u00e9 error 0x12 ' * 3)"
NEEDS_ROOT = (
    "sys.stderr.write('tegrastats: Operation not permitted, run with sudo\\n')\nsys.exit(1)"
)
