"""Where batches lie on the host and on the device."""

from contextlib import ExitStack
from typing import NamedTuple, Optional, Tuple

import numpy as np

from .cuda_device import Cuda
from .trt_engine import BoundEngine, Shape

_FLOAT_BYTES = 4


class Buffers(NamedTuple):
    """Pinned memory of the host, and what the engine reads and writes.

    Attributes:
        source: ``(rows, 3, H, W)`` float32 in pinned memory.
        result: ``(rows, …)`` float32 in pinned memory.
        device_source: Where the engine reads; of mapped memory that is ``source`` itself.
        device_result: Where the engine writes; of mapped memory that is ``result`` itself.
    """

    source: np.ndarray
    result: np.ndarray
    device_source: int
    device_result: int


class Pool:
    """Allocates what an engine needs; all of it is freed by an exit stack.

    Where CPU and GPU share their memory, nothing is copied: the engine reads and writes pinned
    memory. Elsewhere all pinned buffers share one pair on the device.
    """

    def __init__(
        self, cuda: Cuda, engine: BoundEngine, out_row: Shape, undo: ExitStack, *, mapped: bool
    ) -> None:
        self._cuda = cuda
        self._engine = engine
        self._out_row = out_row
        self._undo = undo
        self._mapped = mapped
        self._device: Optional[Tuple[int, int]] = None

    def take(self, rows: int) -> Buffers:
        """Return new buffers for one call of the engine with so many images.

        Raises:
            UnsupportedError: There is not enough memory.
        """
        if self._mapped:
            # fewer than the engine takes: it reads and writes all of its smallest batch
            whole = max(rows, self._engine.smallest)
            source, device_source = self._map(whole, self._engine.row)
            result, device_result = self._map(whole, self._out_row)
            return Buffers(source[:rows], result[:rows], device_source, device_result)
        if self._device is None:
            self._device = (self._allocate(self._engine.row), self._allocate(self._out_row))
        source = self._pin(rows, self._engine.row)
        return Buffers(source, self._pin(rows, self._out_row), *self._device)

    def _allocate(self, row: Shape) -> int:
        address = self._cuda.allocate(self._engine.largest * _size(row))
        self._undo.callback(self._cuda.free, address)
        return address

    def _pin(self, rows: int, row: Shape) -> np.ndarray:
        memory = self._cuda.allocate_pinned(rows * _size(row))
        self._undo.callback(self._cuda.free_pinned, memory)
        return _images(memory, rows, row)

    def _map(self, rows: int, row: Shape) -> Tuple[np.ndarray, int]:
        memory, address = self._cuda.allocate_mapped(rows * _size(row))
        self._undo.callback(self._cuda.free_pinned, memory)
        return _images(memory, rows, row), address


def _images(memory: np.ndarray, rows: int, row: Shape) -> np.ndarray:
    return memory.view(np.float32).reshape((rows, *row))


def _size(row: Shape) -> int:
    """Return the bytes of one float32 image or result."""
    return int(np.prod(row, dtype=np.int64)) * _FLOAT_BYTES
