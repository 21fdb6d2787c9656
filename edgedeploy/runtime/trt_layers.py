"""TensorRT's profiler: the time of each layer of an engine."""

from typing import Any, Dict, List

from .session import LayerTime


def make_profiler(trt: Any) -> Any:
    """Return an ``IProfiler`` that sums what it is told; its ``means`` says what that was."""

    class Profiler(trt.IProfiler):  # type: ignore[misc]  # the vendor has no types
        """Hears of every layer of every inference, in execution order."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self._sums: Dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self._sums[layer_name] = self._sums.get(layer_name, 0.0) + ms

        def means(self, runs: int) -> List[LayerTime]:
            """Return the layers in the order in which they were told, as means of ``runs``."""
            return [LayerTime(name, None, total / runs) for name, total in self._sums.items()]

    return Profiler()
