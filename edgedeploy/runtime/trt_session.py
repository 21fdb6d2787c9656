"""A loaded engine with its buffers: batches in, results out, and how long each stage took."""

import contextlib
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from .cuda_device import Cuda
from .errors import UsageError
from .session import LayerTimes, Session
from .trt_buffers import Buffers, Pool
from .trt_compute import Compute, Place
from .trt_engine import BoundEngine

_Steps = List[Callable[[], None]]
_UNTIMED = 5  # calls before those that are profiled


class TrtSession(Session):
    """An engine with its buffers, on one stream.

    Batches above the largest that the engine takes go in pieces. ``described["cuda_graph"]`` and
    ``described["zero_copy"]`` tell which of the ways of running are used, and why not.
    """

    def __init__(
        self,
        engine: BoundEngine,
        cuda: Cuda,
        described: Dict[str, Any],
        *,
        no_graphs: Optional[str] = None,
        said: Callable[[], str] = lambda: "it gave no reason",
        profiler: Optional[Callable[[], Any]] = None,
    ) -> None:
        """Allocate what every call needs.

        Args:
            engine: What to run.
            cuda: The GPU.
            described: What is known of both.
            no_graphs: Why calls are not to be replayed from CUDA graphs; None where they are.
            said: Returns what TensorRT has logged.
            profiler: Makes what `trt_layers.make_profiler` does; None where layers tell nothing.

        Raises:
            UnsupportedError: There is not enough memory.
        """
        self._engine = engine
        self._cuda = cuda
        self._profiler = profiler
        self._largest = engine.largest
        self._out_row = engine.set_shape((self._largest, *engine.row))[1:]
        self._closed = False
        self._calls: Dict[int, Callable[[], None]] = {}
        self._steps: List[_Steps] = []
        self._undo = contextlib.ExitStack()
        with contextlib.ExitStack() as guard:
            guard.callback(self._undo.close)
            self._stream = cuda.create_stream()
            self._undo.callback(cuda.destroy_stream, self._stream)
            mapped = cuda.shares_memory
            self._pool = Pool(cuda, engine, self._out_row, self._undo, mapped=mapped)
            self._own = self._pool.take(self._largest)
            self._compute = Compute(engine, cuda, self._stream, no_graphs=no_graphs, said=said)
            self._undo.callback(self._compute.close)
            guard.pop_all()  # from here on `close` does it
        self.described = dict(
            described,
            largest_batch=self._largest,
            zero_copy=mapped,
            cuda_graph=self._compute.graph,
        )

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Infer, copying in and out of the pinned buffers."""
        if self._closed:
            _refuse()
        result = np.empty((len(batch), *self._out_row), dtype=np.float32)
        for start in range(0, len(batch), self._largest):
            piece = batch[start : start + self._largest]
            rows = len(piece)
            if rows not in self._calls:
                self._calls[rows] = self._call([_first(self._own, rows)])
            self._own.source[:rows] = piece
            self._calls[rows]()
            result[start : start + rows] = self._own.result[:rows]
        return result

    def bind(self, batch: np.ndarray) -> Callable[[], None]:
        """Return host-to-device copy, inference, device-to-host copy and the wait for them.

        ``batch`` is copied into pinned memory here, once; that memory is freed by `close`, after
        which the call raises `UsageError`.
        """
        return self._call(self._take(batch))

    def stage_times(self, batch: np.ndarray, runs: int) -> Dict[str, List[float]]:
        """Time the stages of a call one by one, with CUDA events.

        The copies and the inference run as in `bind`, but for a plain inference where `bind`
        replays a graph; the graph is timed by itself. One untimed call of each comes first.

        Args:
            batch: As for `bind`, no more images than the engine takes in one call.
            runs: Timed calls.

        Returns:
            Milliseconds of each of ``runs`` calls, in call order, of ``h2d``, ``compute`` and
            ``d2h``; of ``graph`` where CUDA graphs work; no copies where nothing is copied.

        Raises:
            UsageError: Too many images, fewer runs than 1, or the session is closed.
        """
        if len(batch) > self._largest or runs < 1:
            raise UsageError(
                f"{runs} timed calls of {len(batch)} images were asked for, a call takes 1 to "
                f"{self._largest}",
                fix=f"time 1 call or more, of {self._largest} images or fewer",
            )
        if self._closed:
            _refuse()
        buffers = _first(self._own, len(batch))
        buffers.source[:] = batch
        place = self._place(buffers)
        upload, download = self._copies(buffers)
        named = [("h2d", step) for step in upload]
        named.append(("compute", self._compute.plain(place)))
        named += [("d2h", step) for step in download]
        times = self._time(named, runs)
        replay = self._compute.replay(place)
        if replay is not None:
            times.update(self._time([("graph", replay)], runs))
        return times

    def layer_times(self, batch: np.ndarray, runs: int) -> LayerTimes:
        """Run plain inferences under TensorRT's profiler, without graphs and without copies out."""
        if self._closed:
            _refuse()
        if self._profiler is None:
            return LayerTimes(None, "this engine replays whole graphs, which do not tell layers")
        if len(batch) > self._largest:
            reason = f"{len(batch)} images go in several calls of {self._largest}"
            return LayerTimes(None, reason)
        buffers = _first(self._own, len(batch))
        buffers.source[:] = batch
        compute = self._compute.plain(self._place(buffers))
        for _ in range(_UNTIMED):
            for step in [*self._copies(buffers)[0], compute]:
                step()
        self._cuda.synchronize(self._stream)
        profiler = self._profiler()
        self._engine.profile(profiler)
        try:
            for _ in range(runs):
                compute()
                self._cuda.synchronize(self._stream)
        finally:
            self._engine.profile(None)
        layers = profiler.means(runs)
        return LayerTimes(layers or None, None if layers else "TensorRT told of no layer")

    def close(self) -> None:
        """Wait for the GPU, then free everything; calls that were bound raise from now on."""
        if self._closed:
            return
        self._closed = True
        for steps in self._steps:
            steps[:] = [_refuse]
        self._undo.callback(self._cuda.synchronize, self._stream)  # the last in is the first out
        self._undo.close()
        del self._engine, self._compute, self._pool, self._own

    def _take(self, batch: np.ndarray) -> List[Buffers]:
        """Return buffers that hold a batch, one for every call of the engine."""
        if self._closed:
            _refuse()
        taken = []
        for start in range(0, len(batch), self._largest):
            piece = batch[start : start + self._largest]
            taken.append(self._pool.take(len(piece)))
            taken[-1].source[:] = piece
        return taken

    def _call(self, pieces: Sequence[Buffers]) -> Callable[[], None]:
        """Prepare a blocking call."""
        if self._closed:
            _refuse()
        steps: _Steps = []
        for buffers in pieces:
            upload, download = self._copies(buffers)
            steps += [*upload, self._compute.step(self._place(buffers)), *download]
        self._steps.append(steps)

        def call() -> None:
            for step in steps:
                step()
            self._cuda.synchronize(self._stream)

        return call

    def _place(self, buffers: Buffers) -> Place:
        # fewer images than the engine takes: what is left on the device from before fills them
        images = max(len(buffers.source), self._engine.smallest)
        return Place(images, buffers.device_source, buffers.device_result)

    def _copies(self, buffers: Buffers) -> Tuple[_Steps, _Steps]:
        """Return what copies in and out, nothing where the engine uses the host's memory."""
        if self._cuda.shares_memory:
            return [], []
        source, result, device_source, device_result = buffers
        return (
            [self._cuda.uploading(source, device_source, self._stream)],
            [self._cuda.downloading(device_result, result, self._stream)],
        )

    def _time(
        self, named: Sequence[Tuple[str, Callable[[], None]]], runs: int
    ) -> Dict[str, List[float]]:
        """Run steps one after the other, with an event before, between and after them."""
        with contextlib.ExitStack() as undo:
            events = []
            for _ in range(len(named) + 1):
                events.append(self._cuda.create_event())
                undo.callback(self._cuda.destroy_event, events[-1])
            for _, step in named:
                step()
            self._cuda.synchronize(self._stream)
            times: Dict[str, List[float]] = {name: [] for name, _ in named}
            for _ in range(runs):
                self._cuda.record(events[0], self._stream)
                for (_, step), after in zip(named, events[1:]):
                    step()
                    self._cuda.record(after, self._stream)
                self._cuda.synchronize(self._stream)
                for (name, _), start, end in zip(named, events, events[1:]):
                    times[name].append(self._cuda.elapsed_ms(start, end))
        return times


def _first(buffers: Buffers, rows: int) -> Buffers:
    return buffers._replace(source=buffers.source[:rows], result=buffers.result[:rows])


def _refuse() -> None:
    raise UsageError("the engine is closed", fix="load the artifact again with Runtime.load")
