"""What a TensorRT build is doing, and stopping it, where the builder has a progress monitor.

TensorRT 8 has none: a build runs to its end there, and Ctrl-C counts once it is over.
"""

import contextlib
import signal
import threading
from typing import Any, Callable, Dict, Iterator, Optional

Progress = Callable[[str, int, int], None]


@contextlib.contextmanager
def watched(trt: Any, config: Any, progress: Optional[Progress] = None) -> Iterator[None]:
    """Report what the build in this block does, and let Ctrl-C cancel it at its next step.

    Args:
        trt: TensorRT's package.
        config: The build's config.
        progress: Called with a phase's name, the steps done and their number; it must not raise,
            TensorRT would take that for a wish to stop.

    Raises:
        KeyboardInterrupt: Ctrl-C came; at the end of the block, when TensorRT has cleaned up.
    """
    if not hasattr(trt, "IProgressMonitor"):
        yield
        return
    monitor = _make_monitor(trt, progress)
    config.progress_monitor = monitor
    ours = threading.current_thread() is threading.main_thread()
    # The default handler would raise inside TensorRT's callback, and be lost there.
    before = signal.signal(signal.SIGINT, monitor.cancel) if ours else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
        config.progress_monitor = None
        if monitor.cancelled:
            raise KeyboardInterrupt


def _make_monitor(trt: Any, progress: Optional[Progress]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the vendor has no types
        """Passes phases on; phases lie within each other, so several are open at a time."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.cancelled = False
            self._steps: Dict[str, int] = {}

        def cancel(self, *_: Any) -> None:
            """Stop the build at its next step."""
            self.cancelled = True

        def phase_start(
            self,
            phase_name: str,
            parent_phase: Optional[str],  # noqa: ARG002  # TensorRT's signature
            num_steps: int,
        ) -> None:
            self._steps[phase_name] = num_steps
            self._tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._tell(phase_name, step + 1)
            return not self.cancelled

        def phase_finish(self, phase_name: str) -> None:
            """Say nothing: the last step said it."""

        def _tell(self, phase: str, done: int) -> None:
            if progress is not None:
                progress(phase, done, self._steps.get(phase, 0))

    return Monitor()
