"""What this device can do at best, measured here: bytes from memory, multiply-adds of a GEMM."""

from __future__ import annotations

import datetime
import functools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from edgedeploy import miniatures, stats
from edgedeploy.analyzing import caches, kept
from edgedeploy.errors import FileError, MeasurementError, MissingDependencyError
from edgedeploy.meters import cpu as cpu_meter
from edgedeploy.meters import memory
from edgedeploy.types import Precision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.analyzing.kept import Host
    from edgedeploy.meters.memory import Memory
    from edgedeploy.types import Array

    _T = TypeVar("_T")
    Clock = Callable[[], int]
    _Speeds = Callable[[Callable[[], None], int], Array]

_KIND = "peaks"
_FIX = "measure again: edgedeploy analyze MODEL --roofline --remeasure"
_SECONDS = 1.0  # of each measurement
_FEWEST = 5  # rounds of each
_SIDE = 1024  # of the matrices: 4 MiB each in float32, 1.07 G multiply-adds
_PRECISIONS = (Precision.FP32, Precision.INT8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """How fast memory moves, in bytes read and written per second.

    Attributes:
        kernel: ``copy``, a = b, or ``add``, a = b + c.
        best: Of all rounds.
        median: Of all rounds.
    """

    kernel: str
    best: float
    median: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How fast a library multiplies matrices, in multiply-adds per second.

    Attributes:
        backend: Whose library.
        precision: ``fp32`` or ``int8``.
        best: Of all rounds; None where it was not measured.
        median: As that.
        reason: Why it was not.
    """

    backend: str
    precision: str
    best: float | None
    median: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The two roofs of a device, and the conditions that they were measured under.

    Attributes:
        host: The device and its libraries.
        date: When, ISO 8601 in UTC.
        load: Load average when it began; None where the system does not tell.
        array_bytes: Size of each array that was moved.
        bandwidths: One for each kernel.
        rates: One for each library and type.
    """

    host: Host
    date: str
    load: float | None
    array_bytes: int
    bandwidths: tuple[Bandwidth, ...]
    rates: tuple[Rate, ...]

    @property
    def bandwidth(self) -> float:
        """The best of all kernels, in bytes per second."""
        return max(each.best for each in self.bandwidths)

    @property
    def steadiness(self) -> float:
        """The smallest median as a share of its best, from 0 to 1."""
        shares = [each.median / each.best for each in self.bandwidths]
        shares += [each.median / each.best for each in self.rates if each.median and each.best]
        return min(shares)

    def rate(self, precision: str | None) -> float | None:
        """Return the best of all libraries; None where none was measured in that type."""
        found = [each.best for each in self.rates if each.precision == precision]
        return max((best for best in found if best is not None), default=None)


def of_this_device(
    *,
    threads: int | None = None,
    again: bool = False,
    folder: Path | None = None,
    measuring: Callable[[Host], Peaks] | None = None,
) -> Peaks:
    """Return the peaks that are kept of this device, or measure and keep them.

    Args:
        threads: As `kept.this_host`.
        again: Measure even where they are kept.
        folder: Where they are kept; None: the user's cache folder.
        measuring: `measure`; tests pass another.

    Raises:
        MissingDependencyError: Neither ONNX Runtime nor OpenVINO is installed.
        MeasurementError: As `measure`.
        FileError: What is kept is damaged.
    """
    host = kept.this_host(threads)
    path = kept.place(folder or kept.default_folder(), _KIND, host)
    found = None if again else kept.read(path, _FIX)
    if found is not None:
        return _parsed(host, found, path)
    peaks = (measuring or measure)(host)
    document = asdict(peaks)
    del document["host"]
    kept.write(path, host, document)
    return peaks


def measure(
    host: Host,
    *,
    array_bytes: int | None = None,
    side: int = _SIDE,
    duration_s: float = _SECONDS,
    clock: Clock = time.perf_counter_ns,
    free: Memory | None = None,
) -> Peaks:
    """Measure both roofs; six times ``duration_s`` where both libraries are installed.

    Args:
        host: This one.
        array_bytes: Of each of three arrays; None: what no cache holds, of `caches`.
        side: Of the matrices.
        duration_s: Of each measurement, at least.
        clock: Monotonic, in nanoseconds.
        free: What memory there is; None: what the system says.

    Raises:
        MissingDependencyError: Neither ONNX Runtime nor OpenVINO is installed.
        MeasurementError: Arrays that no cache holds do not fit into the memory that is free.
    """
    names = _libraries(host)
    load = cpu_meter.load_average()
    size = array_bytes or caches.array_beyond(host.threads)
    _check_free(size, memory.read() if free is None else free)
    speeds_of = functools.partial(_speeds, duration_s=duration_s, clock=clock)
    return Peaks(
        host=host,
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        load=load,
        array_bytes=size,
        bandwidths=_bandwidths(host.threads, size, speeds_of),
        rates=tuple(
            _rate(name, precision, host.threads, side, speeds_of)
            for precision in _PRECISIONS
            for name in names
        ),
    )


def _libraries(host: Host) -> list[str]:
    names = [name for name in miniatures.CPU_BACKENDS if name in host.versions]
    if not names:
        raise MissingDependencyError(
            "neither onnxruntime nor openvino is installed, and the rate is measured with them",
            fix="pip install 'edgedeploy[ort]'",
        )
    return names


def _check_free(array_bytes: int, found: Memory | None) -> None:
    needed_mb = 3 * array_bytes >> 20
    if found is not None and needed_mb > found.available_mb:
        raise MeasurementError(
            f"three arrays that no cache holds take {needed_mb} MiB, {found.available_mb} are free",
            fix="end other programs, or measure fewer threads: "
            "edgedeploy analyze MODEL --roofline --threads 1",
        )


def _bandwidths(threads: int, array_bytes: int, speeds_of: _Speeds) -> tuple[Bandwidth, ...]:
    """Move arrays in as many threads; NumPy lets go of the interpreter meanwhile."""
    count = array_bytes // 4 // threads
    with ThreadPoolExecutor(threads) as pool:
        # first written in several threads, so that on several sockets they lie on several
        parts = list(pool.map(_three_arrays, [count] * threads))

        def copy() -> None:
            list(pool.map(lambda part: np.copyto(part[0], part[1]), parts))

        def add() -> None:
            list(pool.map(lambda part: np.add(part[1], part[2], out=part[0]), parts))

        moved = 4 * count * threads
        return tuple(
            Bandwidth(kernel=name, best=float(max(speeds)), median=stats.percentile(speeds, 0.5))
            for name, call, arrays in (("copy", copy, 2), ("add", add, 3))
            for speeds in [speeds_of(call, arrays * moved)]
        )


def _three_arrays(count: int) -> tuple[Array, Array, Array]:
    first, second, third = (np.ones(count, np.float32) for _ in range(3))
    return first, second, third


def _rate(backend: str, precision: Precision, threads: int, side: int, speeds_of: _Speeds) -> Rate:
    model = miniatures.matrix_product(side)
    wanted = "int8" if precision is Precision.INT8 else "float32"
    with miniatures.opened(model, backend, precision, threads=threads) as engine:
        if dict(engine.runs) != {wanted: 1}:
            return Rate(
                backend=backend,
                precision=precision.value,
                best=None,
                median=None,
                reason=f"{engine.library} runs the product as {dict(engine.runs)}, not {wanted}",
            )
        speeds = speeds_of(engine.call, side**3)
    return Rate(
        backend=backend,
        precision=precision.value,
        best=float(max(speeds)),
        median=stats.percentile(speeds, 0.5),
    )


def _speeds(call: Callable[[], None], amount: int, *, duration_s: float, clock: Clock) -> Array:
    """Return ``amount`` per second of each call, ``(n,)``; one untimed call comes first."""
    call()
    end = clock() + int(duration_s * 1e9)
    found: list[float] = []
    while len(found) < _FEWEST or clock() < end:
        before = clock()
        call()
        found.append(amount * 1e9 / max(clock() - before, 1))
    return np.array(found)


def _parsed(host: Host, document: dict[str, Any], path: Path) -> Peaks:
    try:
        return Peaks(
            host=host,
            date=kept.text(document["date"]),
            load=None if document["load"] is None else kept.number(document["load"]),
            array_bytes=int(kept.positive(document["array_bytes"])),
            bandwidths=_some(document, "bandwidths", _bandwidth),
            rates=_some(document, "rates", _kept_rate),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path} is damaged: {type(error).__name__}: {error}", fix=_FIX) from error


def _some(
    document: dict[str, Any], key: str, read: Callable[[dict[str, Any]], _T]
) -> tuple[_T, ...]:
    found = tuple(read(each) for each in document[key])
    if not found:
        raise ValueError(f"no {key}")
    return found


def _bandwidth(found: dict[str, Any]) -> Bandwidth:
    return Bandwidth(
        kernel=kept.text(found["kernel"]),
        best=kept.positive(found["best"]),
        median=kept.positive(found["median"]),
    )


def _kept_rate(found: dict[str, Any]) -> Rate:
    reason = found["reason"]
    return Rate(
        backend=kept.text(found["backend"]),
        precision=kept.text(found["precision"]),
        best=kept.positive(found["best"]) if reason is None else None,
        median=kept.positive(found["median"]) if reason is None else None,
        reason=None if reason is None else kept.text(reason),
    )
