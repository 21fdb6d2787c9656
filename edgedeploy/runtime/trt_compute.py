"""One inference of an engine on a stream: queued plainly, or replayed from a CUDA graph."""

from typing import Any, Callable, Dict, NamedTuple, Optional

from .cuda_device import Cuda
from .errors import EdgeDeployError
from .trt_engine import BoundEngine


class Place(NamedTuple):
    """How many images an inference takes, and where on the device they and its results lie."""

    images: int
    source: int
    result: int


class Compute:
    """Queues inferences of one engine.

    A graph holds one place: TensorRT keeps what it needs for one shape at a time in its context,
    so the graph is dropped when the place changes. It is captured at the second call in a row of
    one place; the first one runs plainly, and TensorRT does then what a graph cannot hold.

    Attributes:
        graph: ``{"used": bool, "reason": str | None}``: whether calls are replayed from a graph,
            and why not; it changes with the calls.
    """

    def __init__(
        self,
        engine: BoundEngine,
        cuda: Cuda,
        stream: int,
        *,
        no_graphs: Optional[str] = None,
        said: Callable[[], str] = lambda: "it gave no reason",
    ) -> None:
        """Queue nothing yet.

        Args:
            engine: What to run.
            cuda: The GPU.
            stream: Where to queue.
            no_graphs: Why no graphs are wanted; None where they are.
            said: Returns what TensorRT has logged.
        """
        self._engine = engine
        self._cuda = cuda
        self._stream = stream
        self._said = said
        self._place: Optional[Place] = None
        self._warm = False
        self._captured: Optional[int] = None
        self._replay: Optional[Callable[[], None]] = None
        self._no_graphs = no_graphs or cuda.no_graphs
        reason = self._no_graphs or "no batch has come twice in a row yet"
        self.graph: Dict[str, Any] = {"used": False, "reason": reason}

    def step(self, place: Place) -> Callable[[], None]:
        """Return a call that queues an inference the best way that works."""

        def compute() -> None:
            if self._place != place:
                self._move(place)
            if self._replay is None and self._warm and self._no_graphs is None:
                self._capture()
            if self._replay is not None:
                self._replay()
            else:
                self._enqueue()

        return compute

    def plain(self, place: Place) -> Callable[[], None]:
        """Return a call that queues an inference without a graph."""

        def compute() -> None:
            if self._place != place:
                self._move(place)
            self._enqueue()

        return compute

    def replay(self, place: Place) -> Optional[Callable[[], None]]:
        """Return a call that queues the graph of a place that has run; None where there is none.

        It is good until another place is run.
        """
        if self._place == place and self._replay is None and self._no_graphs is None:
            self._capture()
        return self._replay if self._place == place else None

    def close(self) -> None:
        """Drop the graph; the stream must have come to its end."""
        self._place = None
        self._replay = None
        if self._captured is not None:
            captured, self._captured = self._captured, None
            self._cuda.destroy_graph(captured)

    def _move(self, place: Place) -> None:
        if self._captured is not None:
            self._cuda.synchronize(self._stream)
        before = self._place
        self.close()
        if before is None or before.images != place.images:
            self._engine.set_shape((place.images, *self._engine.row))
        if before is None or before[1:] != place[1:]:
            self._engine.attach(place.source, place.result)
        self._place = place
        self._warm = False

    def _enqueue(self) -> None:
        if not self._engine.enqueue(self._stream):
            shape = (self._place.images if self._place else 0, *self._engine.row)
            raise EdgeDeployError(
                f"TensorRT did not run a batch of shape {shape}: {self._said()}",
                fix="free GPU memory and load the artifact again",
            )
        self._warm = True

    def _capture(self) -> None:
        """Capture the graph of this place, or find out that there is none to be had."""
        try:
            self._captured = self._cuda.capture(self._enqueue, self._stream)
        except EdgeDeployError as error:
            self._no_graphs = error.problem
            self.graph.update(used=False, reason=error.problem)
            return
        self._replay = self._cuda.launching(self._captured, self._stream)
        self.graph.update(used=True, reason=None)
