"""CUDA graphs: what a stream would run, kept to be launched again in one call."""

from typing import Any, Callable

from .cudart import CudaError

# Of cudaStreamCaptureMode: other threads may go on using CUDA meanwhile.
_THREAD_LOCAL = 1


def capture(api: Any, work: Callable[[], None], stream: int) -> int:
    """Return as a graph what ``work`` queues on a stream.

    Args:
        api: The CUDA runtime, of `cudart`.
        work: Queues on ``stream`` and does not wait for it.
        stream: Is not capturing afterwards, whatever happens.

    Raises:
        CudaError: ``work`` did what cannot be captured, or the graph cannot be made.
    """
    captured = None
    try:
        api.call("cudaStreamBeginCapture", stream, _THREAD_LOCAL)
        try:
            work()
        except BaseException:
            _abandon(api, stream)
            raise
        captured = api.call("cudaStreamEndCapture", stream)
        return int(api.instantiate(captured))
    except CudaError:
        api.clear_error()  # TensorRT would take it for one of its own
        raise
    finally:
        if captured is not None:
            api.call("cudaGraphDestroy", captured)


def _abandon(api: Any, stream: int) -> None:
    """End a capture of which nothing is wanted any more."""
    try:
        captured = api.call("cudaStreamEndCapture", stream)
    except CudaError:
        api.clear_error()  # what was captured is invalid, which is known already
        return
    api.call("cudaGraphDestroy", captured)
