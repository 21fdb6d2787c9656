"""One inference of an engine on a stream: queued plainly, or replayed from a CUDA graph."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set

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

    Every place has a graph of its own, captured when it is run for the second time: the first run
    is a plain one, in which TensorRT does what a graph cannot hold. All of them are dropped when
    another number of images comes: TensorRT's context keeps what it needs for one shape at a time.

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
        self._images = 0
        self._attached: Optional[Place] = None
        self._warm: Set[Place] = set()
        self._captured: List[int] = []
        self._replays: Dict[Place, Callable[[], None]] = {}
        self._no_graphs = no_graphs or cuda.no_graphs
        reason = self._no_graphs or "no batch has come twice in a row yet"
        self.graph: Dict[str, Any] = {"used": False, "reason": reason}

    def step(self, place: Place) -> Callable[[], None]:
        """Return a call that queues an inference the best way that works."""

        def compute() -> None:
            replay = self.replay(place)
            if replay is not None:
                replay()
            else:
                self._enqueue(place)

        return compute

    def plain(self, place: Place) -> Callable[[], None]:
        """Return a call that queues an inference without a graph."""
        return lambda: self._enqueue(place)

    def replay(self, place: Place) -> Optional[Callable[[], None]]:
        """Return a call that queues the graph of a place; None where there is none, or not yet.

        It is good until another number of images is run.
        """
        replay = self._replays.get(place)
        if replay is None and place in self._warm and self._no_graphs is None:
            replay = self._capture(place)
        return replay

    def close(self) -> None:
        """Drop the graphs; the stream must have come to its end."""
        self._warm.clear()
        self._replays.clear()
        while self._captured:
            self._cuda.destroy_graph(self._captured.pop())

    def _enqueue(self, place: Place) -> None:
        self._move(place)
        if not self._engine.enqueue(self._stream):
            raise EdgeDeployError(
                f"TensorRT did not run a batch of shape {(place.images, *self._engine.row)}: "
                f"{self._said()}",
                fix="free GPU memory and load the artifact again",
            )
        self._warm.add(place)

    def _move(self, place: Place) -> None:
        if self._images != place.images:
            if self._captured:
                self._cuda.synchronize(self._stream)
            self.close()
            self._engine.set_shape((place.images, *self._engine.row))
            self._images = place.images
        if self._attached is None or self._attached[1:] != place[1:]:
            self._engine.attach(place.source, place.result)
            self._attached = place

    def _capture(self, place: Place) -> Optional[Callable[[], None]]:
        """Capture the graph of a place, or find out that there is none to be had."""
        try:
            captured = self._cuda.capture(self.plain(place), self._stream)
        except EdgeDeployError as error:
            self._no_graphs = error.problem
            self.graph.update(used=False, reason=error.problem)
            return None
        self._captured.append(captured)
        self._replays[place] = self._cuda.launching(captured, self._stream)
        self.graph.update(used=True, reason=None)
        return self._replays[place]
