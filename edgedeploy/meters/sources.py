"""The sensors that give power, and how each is sampled: data."""

from typing import Callable, Dict, NamedTuple, Optional, Tuple

from . import battery, ina3221, nvml, tegrastats_process
from .sampling import Reader

Opener = Callable[[str, int], Tuple[Optional[Reader], Optional[str]]]


class Source(NamedTuple):
    """A sensor of power.

    Attributes:
        name: For records.
        open: Gets the root of the file system and the interval in ms.
        interval_ms: Between two samples. Faster gives no more that is independent, only load.
        gap_s: Two samples may lie this far apart; what is further is not bridged.
        least_window_s: The sensor averages by itself: a shorter window would measure before it.
        start_s: To wait for the first sample, at most.
        scope: What the power is that of; None: the module of a board, by the rule of its rails.
    """

    name: str
    open: Opener
    interval_ms: int
    gap_s: float
    least_window_s: float = 0.0
    start_s: float = 3.0
    scope: Optional[str] = None


SOURCES: Dict[str, Source] = {
    source.name: source
    for source in (
        Source("ina3221", lambda root, _: ina3221.open_reader(root), interval_ms=100, gap_s=1.0),
        Source("tegrastats", tegrastats_process.start, interval_ms=100, gap_s=1.0),
        Source(
            "nvml",
            lambda _root, _: nvml.open_reader(),
            interval_ms=50,
            gap_s=1.0,
            least_window_s=2.0,
            scope="the GPU's whole board, NVML's power; the host is not in it",
        ),
        Source(
            "battery",
            lambda root, _: battery.open_reader(root),
            interval_ms=500,
            gap_s=3.0,
            least_window_s=10.0,
            scope="the whole computer with its screen, from its battery's gauge",
        ),
    )
}
