"""How long a call of an engine takes here, so that the faster of two engines can be kept."""

import statistics
import time
from typing import Any, Callable, Optional

import numpy as np

from . import trt_api, trt_engine
from .cuda_device import Cuda
from .errors import UnsupportedError
from .trt_session import TrtSession

_WARMUP, _CALLS = 20, 200


def latency_ms(
    trt: Any,
    cuda: Cuda,
    path: str,
    images: int = 1,
    *,
    dla_core: Optional[int] = None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the median time of one call, copies included, in milliseconds.

    Args:
        trt: TensorRT's package.
        cuda: The GPU.
        path: Engine file that was just built with them.
        images: How many images a call has; moved into what the engine takes.
        dla_core: That it was built for; None is the GPU.
        clock: Seconds, monotonic.

    Raises:
        UnsupportedError: The engine does not load, or there is no memory to run it.
    """
    log = trt_api.logger(trt)
    runtime = trt_api.make_runtime(trt, log)
    if dla_core is not None:
        runtime.DLA_core = dla_core
    with open(path, "rb") as file:
        engine = runtime.deserialize_cuda_engine(file.read())
    context = engine.create_execution_context() if engine is not None else None
    if context is None:
        raise UnsupportedError(
            f"{path} was built, but does not run here: {trt_api.said(log)}",
            fix="free GPU memory, or leave --tune out",
        )
    bound = trt_engine.wrap(engine, context)
    session = TrtSession(bound, cuda, {}, said=lambda: trt_api.said(log))
    try:
        rows = max(bound.smallest, min(images, bound.largest))
        call = session.bind(np.zeros((rows, *bound.row), dtype=np.float32))
        for _ in range(_WARMUP):
            call()
        return statistics.median(_time(call, clock) for _ in range(_CALLS)) * 1e3
    finally:
        session.close()


def _time(call: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start
