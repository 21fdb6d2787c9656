"""The CUDA runtime of cuda-python: device memory is host memory, and a stream runs at once.

Functions return ``(error, *values)`` as the real ones do. What is queued while a stream is captured
is kept instead of run, and a graph runs it again, from the addresses that it was captured with.
"""
# ruff: noqa: N801, N802 -- the vendor's names

from __future__ import annotations

import ctypes
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "Acted-out GPU"
# Whether it is a board's, whose CPU and GPU share their memory, and which has DLAs.
JETSON = "ACTED_OUT_JETSON" in os.environ
TOTAL_BYTES = 8 << 30
ALREADY = 128 << 20  # what a context takes
_ATTRIBUTES = {75: 8, 76: 7, 18: int(JETSON), 19: 1}
_OK, _INVALID_VALUE, _OUT_OF_MEMORY, _INVALID_CAPTURE = 0, 1, 2, 901
_TEXTS = {_INVALID_VALUE: "invalid argument", _OUT_OF_MEMORY: "out of memory"}

_memory: dict[int, Any] = {}
_events: dict[int, float] = {}
_graphs: dict[int, list[Callable[[], object]]] = {}
_capturing: list[list[Callable[[], object]]] = []
_numbers = iter(range(1000, 1 << 30))
held_bytes = 0


class cudaDeviceAttr(int):
    """An enum of cuda-python, which takes its members where C takes an int."""


class cudaMemcpyKind(int):
    """Likewise."""


class cudaStreamCaptureMode(int):
    """Likewise."""


def do(work: Callable[[], object]) -> None:
    """Run what is queued, or keep it for the graph that is being captured."""
    if _capturing:
        _capturing[-1].append(work)
    else:
        work()


def hold(size_bytes: int) -> None:
    """Count device memory that something else than `cudaMalloc` takes; negative gives it back."""
    global held_bytes  # noqa: PLW0603 -- a driver has global state
    held_bytes += size_bytes


def cudaGetErrorString(code: int) -> tuple[int, bytes]:
    return _OK, _TEXTS.get(int(code), "error").encode()


def cudaGetLastError() -> tuple[int]:
    return (_OK,)


def cudaDriverGetVersion() -> tuple[int, int]:
    return _OK, 12060


def cudaRuntimeGetVersion() -> tuple[int, int]:
    return _OK, 12060


def cudaGetDeviceCount() -> tuple[int, int]:
    return _OK, 1


def cudaGetDeviceProperties(device: int) -> tuple[int, Any]:
    assert device == 0
    return _OK, SimpleNamespace(name=NAME.encode().ljust(256, b"\0"))


def cudaDeviceGetAttribute(attribute: int, device: int) -> tuple[int, int]:
    assert device == 0
    return _OK, _ATTRIBUTES[int(attribute)]


def cudaMemGetInfo() -> tuple[int, int, int]:
    return _OK, TOTAL_BYTES - ALREADY - held_bytes, TOTAL_BYTES


def cudaMalloc(size: int) -> tuple[int, int]:
    if size > TOTAL_BYTES - ALREADY - held_bytes:
        return _OUT_OF_MEMORY, 0
    place = np.full(size + 256, 0xAB, np.uint8)
    address = -(-place.ctypes.data // 256) * 256
    _memory[address] = place
    hold(size)
    return _OK, address


def cudaFree(address: int) -> tuple[int]:
    if address not in _memory:
        return (_INVALID_VALUE,)
    hold(256 - _memory.pop(address).nbytes)
    return (_OK,)


def cudaHostAlloc(size: int, flags: int) -> tuple[int, int]:
    assert flags in (0, 2)
    return cudaMalloc(size)


def cudaHostGetDevicePointer(address: int, flags: int) -> tuple[int, int]:
    assert flags == 0
    return (_OK, address) if address in _memory else (_INVALID_VALUE, 0)


def cudaFreeHost(address: int) -> tuple[int]:
    return cudaFree(address)


def cudaMemcpyAsync(target: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:
    assert int(kind) in (1, 2)
    assert stream
    do(lambda: ctypes.memmove(target, source, size))
    return (_OK,)


def cudaStreamCreateWithFlags(flags: int) -> tuple[int, int]:
    assert flags == 1
    return _OK, next(_numbers)


def cudaStreamSynchronize(stream: int) -> tuple[int]:
    assert stream
    return (_INVALID_CAPTURE if _capturing else _OK,)


def cudaStreamDestroy(stream: int) -> tuple[int]:
    assert stream
    return (_OK,)


def cudaEventCreateWithFlags(flags: int) -> tuple[int, int]:
    assert flags == 0
    return _OK, next(_numbers)


def cudaEventRecord(event: int, stream: int) -> tuple[int]:
    assert stream
    do(lambda: _events.__setitem__(event, time.perf_counter()))
    return (_OK,)


def cudaEventSynchronize(event: int) -> tuple[int]:
    return (_OK if event in _events else _INVALID_VALUE,)


def cudaEventElapsedTime(start: int, end: int) -> tuple[int, float]:
    return _OK, 1e3 * (_events[end] - _events[start])


def cudaEventDestroy(event: int) -> tuple[int]:
    _events.pop(event, None)
    return (_OK,)


def cudaStreamBeginCapture(stream: int, mode: int) -> tuple[int]:
    assert stream
    assert int(mode) == 1
    _capturing.append([])
    return (_OK,)


def cudaStreamEndCapture(stream: int) -> tuple[int, int]:
    assert stream
    graph = next(_numbers)
    _graphs[graph] = _capturing.pop()
    return _OK, graph


def cudaGraphInstantiateWithFlags(graph: int, flags: int) -> tuple[int, int]:
    assert flags == 0
    ready = next(_numbers)
    _graphs[ready] = list(_graphs[graph])
    return _OK, ready


def cudaGraphLaunch(graph: int, stream: int) -> tuple[int]:
    assert stream
    for work in _graphs[graph]:
        do(work)
    return (_OK,)


def cudaGraphExecDestroy(graph: int) -> tuple[int]:
    return (_OK if _graphs.pop(graph, None) is not None else _INVALID_VALUE,)


def cudaGraphDestroy(graph: int) -> tuple[int]:
    return cudaGraphExecDestroy(graph)
