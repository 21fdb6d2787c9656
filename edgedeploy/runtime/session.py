"""What every backend's run side offers: ``load(folder, manifest, threads, device) -> Session``.

``folder`` is the artifact's path (str), its files are verified; ``threads`` is a positive int;
``device`` is what the user asked for by name, or None. ``load`` raises `MissingDependencyError`,
`UnsupportedError` or `ArtifactError` when the artifact does not load here; `Runtime` then tries
the next one.
"""

from abc import ABC, abstractmethod
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import numpy as np


class LayerTime(NamedTuple):
    """One layer, as the vendor's profiler names it.

    Attributes:
        name: The vendor's; layers that were fused have one name for all.
        kind: The vendor's word for what it does, e.g. ``"Conv"``; None where it has none.
        ms: Mean milliseconds of a call.
    """

    name: str
    kind: Optional[str]
    ms: float


class LayerTimes(NamedTuple):
    """Layers in execution order, or why there are none.

    Attributes:
        layers: None where the backend does not tell.
        reason: Why not; None where it does.
    """

    layers: Optional[List[LayerTime]]
    reason: Optional[str] = None


class Session(ABC):
    """One loaded engine. `Runtime` has checked shape, dtype and values, so sessions need not.

    Every session may be called from one thread at a time only; `Runtime` sees to that.

    Attributes:
        described: What the loaded engine reports of itself, for `Runtime.info`; values are JSON.
            ``library`` (name and version), ``device`` and ``threads`` (None where the word has no
            meaning) are always there.
    """

    described: Dict[str, Any] = {}

    @abstractmethod
    def run(self, batch: np.ndarray) -> np.ndarray:
        """Infer ``(N, 3, H, W)`` float32, any N ≥ 1, to ``(N, …)`` float32 that the caller owns."""

    @abstractmethod
    def bind(self, batch: np.ndarray) -> Callable[[], None]:
        """Return the vendor's call with ``batch`` bound, nothing of ours inside.

        It blocks until the outputs are in host memory; it is what the profiler times. ``batch``
        is contiguous, and must stay alive and unchanged while the call is in use.
        """

    def stage_times(self, batch: np.ndarray, runs: int) -> Optional[Dict[str, List[float]]]:
        """Time ``h2d``, ``compute`` and ``d2h`` one by one, in milliseconds of each of ``runs``.

        Returns:
            None where there are no such stages, or nothing to time them with.
        """
        del batch, runs
        return None

    def layer_times(self, batch: np.ndarray, runs: int) -> LayerTimes:
        """Time every layer with the vendor's own profiler, which slows the calls down.

        Args:
            batch: As for `run`.
            runs: Calls to take the mean of; a few untimed ones come first.
        """
        del batch, runs
        return LayerTimes(None, "this backend does not tell the time of its layers")

    @abstractmethod
    def close(self) -> None:
        """Free the device. Called once."""
