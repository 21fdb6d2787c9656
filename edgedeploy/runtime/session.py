"""What every backend's run side offers: ``load(folder, manifest, threads, device) -> Session``."""

from typing import Any, Callable, Dict

import numpy as np


class Session:
    """One loaded engine. `Runtime` has checked shape, dtype and values, so sessions need not.

    Every session may be called from one thread at a time only; `Runtime` sees to that.

    Attributes:
        described: What the loaded engine reports of itself, for `Runtime.info`: device, types,
            threads; values are JSON.
    """

    described = {}  # type: Dict[str, Any]

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Infer once: ``(N, 3, H, W)`` float32, any N ≥ 1 → ``(N, …)`` float32 that the caller owns."""
        raise TypeError(f"{type(self).__name__} has no run()")

    def bind(self, batch: np.ndarray) -> Callable[[], None]:
        """Return the vendor's call with ``batch`` bound, nothing of ours inside.

        It blocks until the outputs are in host memory; it is what the profiler times.
        """
        raise TypeError(f"{type(self).__name__} has no bind()")

    def close(self) -> None:
        """Free the device. Called once."""
