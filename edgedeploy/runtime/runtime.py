"""`Runtime`: one loaded artifact, whatever made it."""

import copy
import os
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from . import loading, manifest
from . import preprocessing as pictures
from .checking import checked, is_count
from .errors import UsageError
from .loading import Loaded
from .manifest import Manifest
from .preprocessing import Preprocessing
from .session import LayerTimes, Session


class Prediction(NamedTuple):
    """One answer of `Runtime.classify`.

    Attributes:
        index: Class index, from 0.
        label: The class's name; None where the artifact has no labels.
        score: Probability, 0 to 1.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    label: Optional[str]
    score: float


class Runtime:
    """One loaded artifact: batches in, class scores out.

    Safe to call from several threads: calls are served one at a time. To infer in parallel,
    load one `Runtime` per thread.

    Example:
        ``with Runtime.load("build/mobilenet_v1_0.50_160") as rt: rt.classify(frame)``
    """

    def __init__(self, loaded: Loaded) -> None:
        self._folder = loaded.candidate.folder
        self._manifest = loaded.candidate.manifest
        self._session: Optional[Session] = loaded.session
        self._described = loaded.session.described  # may change with the calls
        self._why = loaded.why
        self._passed_over = loaded.passed_over
        self._unmet = loaded.unmet
        self._rebuilt = loaded.rebuilt
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        path: Union[str, "os.PathLike[str]"],
        backend: Optional[str] = None,
        precision: Optional[str] = None,
        threads: Optional[int] = None,
        device: Optional[str] = None,
        *,
        preprocessing: Optional[Preprocessing] = None,
        labels: Optional[Sequence[str]] = None,
        rebuild: bool = False,
        cuda_graphs: bool = True,
    ) -> "Runtime":
        """Load an artifact, or the best one of a folder that loads here.

        Every file is compared with its SHA-256 first. The ranking is in
        `edgedeploy.runtime.choosing`; `info` says what was chosen, and why not the others.

        Args:
            path: An artifact's folder, or a folder of artifacts of one model.
            backend: Take this backend only: ``ort``, ``openvino`` or ``trt``.
            precision: Take this precision only: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
            threads: CPU threads; None means as many as there are physical cores.
            device: The backend's device, e.g. ``GPU`` for openvino; None means the one that the
                artifact was built for.
            preprocessing: For an artifact that does not say how pictures are preprocessed.
            labels: Class names by index, instead of the artifact's.
            rebuild: Build a TensorRT engine on this machine where the artifact has none for it,
                from the ``source.onnx`` beside it; that takes minutes, on small boards an hour.
            cuda_graphs: Let TensorRT's engines be replayed from CUDA graphs where that works.

        Raises:
            UsageError: Nothing in the folder is what was asked for, it holds several models, or
                ``preprocessing`` contradicts the artifact.
            ArtifactError: There is no artifact, or it is damaged, or made for another machine.
            MissingDependencyError: The vendor's package is not installed here.
            UnsupportedError: The device is not here, or none of several artifacts loads.
            BuildError: TensorRT refused to rebuild it.
            FileError: It cannot be rebuilt, for its folder cannot be written to.

        Warns:
            EdgeDeployWarning: The artifact needs an x86 CPU with VNNI, and this is one without.
        """
        loaded = loading.load(
            os.fspath(path),
            backend,
            precision,
            threads,
            device,
            preprocessing=preprocessing,
            labels=labels,
            rebuild=rebuild,
            cuda_graphs=cuda_graphs,
        )
        return cls(loaded)

    @property
    def manifest(self) -> Manifest:
        """What the artifact says of itself."""
        return self._manifest

    @property
    def info(self) -> Dict[str, Any]:
        """What is loaded and why, as plain values that JSON can hold.

        ``backend, library, precision, runs, quantised, device, threads, model, variant, input,
        output, softmax, preprocessing, labels`` (their number, or None), ``artifact, sha256, needs,
        unmet`` (what of these needs this machine lacks, or None), ``rebuilt`` (whether its engine
        was built here by `load`), ``why, passed_over`` (a list of ``{artifact, reason}``), and
        ``engine``: all that the loaded engine reports of itself.
        """
        known = self._manifest
        return {
            "backend": known.backend,
            "library": self._described.get("library"),
            "precision": known.precision,
            "runs": dict(known.runs),
            "quantised": known.quantised,
            "device": self._described.get("device"),
            "threads": self._described.get("threads"),
            "model": known.model,
            "variant": known.variant,
            "input": _tensor(known.input),
            "output": _tensor(known.output),
            "softmax": known.softmax,
            "preprocessing": manifest.format_preprocessing(known.preprocessing),
            "labels": None if known.labels is None else len(known.labels),
            "artifact": self._folder,
            "sha256": known.sha256,
            "needs": dict(known.needs),
            "unmet": self._unmet,
            "rebuilt": self._rebuilt,
            "why": self._why,
            "passed_over": [left._asdict() for left in self._passed_over],
            "engine": copy.deepcopy(self._described),
        }

    def infer(self, batch: np.ndarray) -> np.ndarray:
        """Infer one batch.

        Args:
            batch: ``(N, 3, H, W)`` float32 with N ≥ 1, preprocessed (see `preprocess`); it is
                copied only where it is not contiguous.

        Returns:
            The graph's output, ``(N, classes)`` float32, owned by the caller.

        Raises:
            TensorMismatchError: Another type or shape, an empty batch, NaN or infinity.
            UsageError: The runtime is closed.
        """
        ready = checked(batch, self._manifest.input)
        with self._lock:
            return self._open_session().run(ready)

    def bind(self, batch: np.ndarray) -> Callable[[], None]:
        """Return the vendor's call with ``batch`` bound, for measuring; it blocks until it is done.

        It is not locked: call it from one thread, and do not `infer` meanwhile.

        Raises:
            TensorMismatchError: As `infer`.
            UsageError: The runtime is closed.
        """
        ready = checked(batch, self._manifest.input)
        with self._lock:
            return self._open_session().bind(ready)

    def stage_times(self, batch: np.ndarray, runs: int = 100) -> Optional[Dict[str, List[float]]]:
        """Time the stages of a call one by one, with the GPU's own clock.

        Args:
            batch: As for `infer`, no more images than the engine takes in one call.
            runs: Timed calls.

        Returns:
            Milliseconds of each call, in call order, of ``h2d``, ``compute`` and ``d2h``, and of
            ``graph``, the same inference replayed from a CUDA graph; stages that an engine does
            not have are left out. None on a CPU.

        Raises:
            TensorMismatchError: As `infer`.
            UsageError: Too many images, fewer runs than 1, or the runtime is closed.
        """
        ready = checked(batch, self._manifest.input)
        with self._lock:
            return self._open_session().stage_times(ready, runs)

    def layer_times(self, batch: np.ndarray, runs: int = 100) -> LayerTimes:
        """Time every layer with the vendor's own profiler; see `session.Session.layer_times`."""
        ready = checked(batch, self._manifest.input)
        with self._lock:
            return self._open_session().layer_times(ready, runs)

    def preprocess(self, frame: np.ndarray, color: str = "rgb") -> np.ndarray:
        """Turn one picture into a batch of 1 for `infer`.

        Args:
            frame: uint8 of any size: ``(H, W, 3)``, ``(H, W, 4)``, whose alpha is dropped, or
                grey, ``(H, W)`` or ``(H, W, 1)``.
            color: Order of its channels, ``"rgb"`` or ``"bgr"`` (OpenCV's); for 4 channels RGBA
                or BGRA.

        Returns:
            ``(1, 3, H, W)`` float32 as the model takes it, owned by the caller.

        Raises:
            TensorMismatchError: The frame is none of these.
            UsageError: The artifact does not say how pictures are preprocessed, or for what size.
        """
        rule = self._manifest.preprocessing
        if rule is None:
            raise UsageError(
                f"{self._folder} does not say how pictures are preprocessed",
                fix="pass preprocessing= to Runtime.load, or --mean and --std on the command line",
            )
        height, width = self._manifest.input.shape[2:]
        if height is None or width is None:
            raise UsageError(
                f"{self._folder} takes any size, so the size of a picture is not known",
                fix="build the model again with --resolution, or call infer yourself",
            )
        return pictures.prepare(frame, (height, width), rule, color)

    def classify(self, frame: np.ndarray, top: int = 5, color: str = "rgb") -> List[Prediction]:
        """Say what is in one picture.

        Args:
            frame: As for `preprocess`.
            top: How many answers, at most; the classes' number if there are fewer.
            color: As for `preprocess`.

        Returns:
            The best answers, the best first. The score is the softmax of the logits, or the
            output itself where the graph ends in Softmax.

        Raises:
            TensorMismatchError: As `preprocess`.
            UsageError: ``top`` is no whole number from 1 on, or as `preprocess`.
        """
        if not is_count(top):
            problem = f"top is {top!r}, it must be a whole number, 1 or more"
            raise UsageError(problem, fix="ask for 1 answer or more, e.g. top=5")
        output = self.infer(self.preprocess(frame, color))[0].reshape(-1)
        scores = output if self._manifest.softmax else _softmax(output)
        labels = self._manifest.labels or ()
        best = np.argsort(-scores, kind="mergesort")[:top]  # stable: equal scores by index
        return [
            Prediction(int(i), labels[i] if i < len(labels) else None, float(scores[i]))
            for i in best
        ]

    def close(self) -> None:
        """Free the engine; a call in progress ends first. Closing again does nothing."""
        with self._lock:
            session, self._session = self._session, None
            if session is not None:
                session.close()

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        known = self._manifest
        state = "" if self._session is not None else ", closed"
        return f"<Runtime {known.model} {known.backend}-{known.precision}{state}>"

    def _open_session(self) -> Session:
        if self._session is None:
            raise UsageError(f"{self!r} is closed", fix="load it again with Runtime.load")
        return self._session


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers: np.ndarray = np.exp(logits.astype(np.float64) - logits.max())
    powers /= powers.sum()
    return powers


def _tensor(info: manifest.TensorInfo) -> Dict[str, Any]:
    return {"name": info.name, "shape": list(info.shape), "dtype": info.dtype}
