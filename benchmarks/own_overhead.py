"""What measuring itself takes while the calls are timed, as a share of one CPU.

    python benchmarks/own_overhead.py build/MODEL/ort-fp32 … [--seconds 10] [--tegrastats]

Three parts, over exactly the timed window: CPU time of the host's process, which hears of the
progress once a second; time that the worker spends outside the timed calls, all of it counted as
CPU time; and CPU time of the sampler's process, which is there with a sensor only. With
``--tegrastats`` a program of that name is put on the PATH that prints a line every 100 ms, for
machines without a sensor.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgedeploy.profiling import measuring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedeploy.profiling.records import ProfileRecord

_LINE = (
    "RAM 1200/3964MB (lfb 70x4MB) SWAP 12/1982MB (cached 1MB) IRAM 0/252kB(lfb 252kB) "
    "CPU [12%@921,34%@921,off,off] EMC_FREQ 4%@1600 GR3D_FREQ 62%@460 APE 25 PLL@30C CPU@33.5C "
    "GPU@31C thermal@32.25C POM_5V_IN 3000/2900 POM_5V_GPU 700/600 POM_5V_CPU 800/700"
)
_TEGRASTATS = f"""#!{sys.executable} -IS
import sys, time
while True:
    sys.stdout.write({_LINE!r} + "\\n")
    sys.stdout.flush()
    time.sleep(0.1)
"""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Watch:
    """CPU seconds at the start and at the end of the timed window."""

    phase: str = ""
    host_s: dict[str, float] = field(default_factory=dict)
    sampler_s: dict[str, float] = field(default_factory=dict)

    def moved(self, phase: str, _done_s: float, _total_s: float) -> None:
        """Read both when the window begins and when it is over."""
        if phase != self.phase and phase in ("timing", "overhead"):
            self.host_s[phase] = time.process_time()
            self.sampler_s[phase] = _sampler_s()
        self.phase = phase


def measure(artifact: Path, seconds: float) -> str:
    """Return a row of the table."""
    watch = Watch()
    spec = measuring.ProfileSpec(duration_s=seconds)
    record = measuring.profile(artifact, spec, progress=watch.moved)
    window_s = record.document["window_s"]
    parts = (
        watch.host_s["overhead"] - watch.host_s["timing"],
        _outside_s(record),
        watch.sampler_s["overhead"] - watch.sampler_s["timing"],
    )
    shares = " | ".join(f"{part / window_s:.3%}" for part in (*parts, sum(parts)))
    p50 = record.document["latency_ms"]["p50"]
    power = "–" if record.document["power"] is None else record.document["power"]["source"]
    return f"| {artifact.parent.name} {artifact.name} | {p50:.3f} | {shares} | {power} |"


def _outside_s(record: ProfileRecord) -> float:
    return float(record.document["window_s"] - record.samples_ns().sum() / 1e9)


def _sampler_s() -> float:
    """Return CPU seconds of the processes below this one that sample, in steps of a kernel tick."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes()
            if b"meters.recorder" in words:
                times = (folder / "stat").read_text().rpartition(") ")[2].split()
                total += int(times[11]) + int(times[12])
    return total / _TICKS_PER_S


@contextlib.contextmanager
def _tegrastats() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "tegrastats")
        program.write_text(_TEGRASTATS)
        program.chmod(0o755)
        before = os.environ["PATH"]
        os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
        yield
        os.environ["PATH"] = before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--tegrastats", action="store_true")
    options = parser.parse_args()
    print("| artifact | p50 ms | host | worker outside calls | sampler | all | power from |")
    print("|---|---|---|---|---|---|---|")
    with _tegrastats() if options.tegrastats else contextlib.nullcontext():
        for artifact in options.artifact:
            print(measure(artifact, options.seconds), flush=True)


if __name__ == "__main__":
    main()
