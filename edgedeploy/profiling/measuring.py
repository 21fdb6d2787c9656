"""One artifact in, one record out: starts the worker and says what its samples mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import devices, stats
from edgedeploy.errors import UsageError
from edgedeploy.profiling import accuracy, costs, deriving, layers, settings, worker_process
from edgedeploy.runtime import manifest as manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgedeploy.profiling.records import ProfileRecord
    from edgedeploy.profiling.remote import Board

    Progress = Callable[[str, float, float], None]


THIS_MACHINE = ("auto", "local")
"""What ``ProfileSpec.device`` is where any machine will do."""

_MOST_S = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSpec:
    """How to measure. The CLI makes this, nothing else.

    Attributes:
        device: ``"auto"`` or ``"local"``: wherever the worker is; else the board it must be on.
        scenario: How calls arrive. ``"single"``: one image at a time, the next when the last is
            done; ``"multi"``: so from several streams at once; ``"offline"``: the batch size with
            the best throughput; ``"server"``: at random; ``"camera"``: the newest frame.
        duration_s: Seconds that the timed calls last, at least.
        min_runs: Timed calls, at least.
        percentile: The furthest that the record must have: the calls go on until there are enough
            for it. One of p90, p95, p97, p99, p99.9.
        streams: Calls at the same time: `multi` (None: 2) and `server` (None: 1).
        rate: Queries a second on average: `server`, which needs it.
        fps: Frames a second: `camera` (None: 30).
        batches: Images per call to try, all of them: `offline` (None: 1, 2, 4, … while it gains).
        threads: CPU threads for the vendor's library; None: one per physical core.
        engine_device: The vendor's own device, e.g. OpenVINO's ``"GPU"``; None: what the artifact
            was built for.
        side: Height and width in pixels, for artifacts that take any.
        seed: Of the random input.
        layers: Whether to time layers as well, with the vendor's profiler, after all else.
        python: Another interpreter for the worker.
        timeout_s: Seconds of silence after which the worker counts as stuck.
        command: What the user typed, for the record.

    Raises:
        UsageError: A number is out of its range, or of no use in this scenario.
        UnknownNameError: There is no such scenario or percentile.
    """

    device: str = "auto"
    scenario: str = "single"
    duration_s: float = 10.0
    min_runs: int = 1
    percentile: str = "p90"
    streams: int | None = None
    rate: float | None = None
    fps: float | None = None
    batches: tuple[int, ...] | None = None
    threads: int | None = None
    engine_device: str | None = None
    side: tuple[int, int] | None = None
    seed: int = 0
    layers: bool = False
    python: Path | None = None
    timeout_s: float = 300.0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.duration_s <= _MOST_S:
            raise UsageError(
                f"--duration is {self.duration_s:g}, it must be 0 to {_MOST_S} seconds",
                fix="pass seconds, e.g. --duration 10",
            )
        if self.min_runs < 1 or not self.timeout_s > 0:
            raise UsageError(
                f"cannot time {self.min_runs} runs with {self.timeout_s} s of patience",
                fix="pass at least 1 run and a patience above 0",
            )
        settings.share_of(self.percentile)
        settings.check(self.scenario, self.own_settings, self.duration_s)

    @property
    def own_settings(self) -> dict[str, Any]:
        """The settings of this scenario alone that were asked for."""
        asked = {name: getattr(self, name) for name in settings.BELONGS_TO}
        return {name: value for name, value in asked.items() if value is not None}

    @property
    def least_runs(self) -> int:
        """Timed calls, at least, for the percentile too."""
        return max(self.min_runs, stats.required_samples(settings.share_of(self.percentile)))

    @property
    def pace(self) -> float | None:
        """Queries or frames a second, on average; None where the next call follows the last."""
        found = settings.complete(self.scenario, self.own_settings)
        pace: float | None = found.get("rate", found.get("fps"))
        return pace

    def options(self) -> dict[str, Any]:
        """Return what a record says of the scenario: every setting that it ran with."""
        return {
            "duration_s": self.duration_s,
            "percentile": self.percentile,
            "min_runs": self.least_runs,
            **settings.complete(self.scenario, self.own_settings, self.seed),
        }


def profile(
    artifact: Path,
    spec: ProfileSpec,
    *,
    board: Board | None = None,
    shipped_accuracy: Path = Path("models/accuracy.json"),
    progress: Progress = lambda _text, _done, _total: None,
) -> ProfileRecord:
    """Measure one artifact in a worker process of its own.

    Args:
        artifact: Its folder.
        spec: How.
        board: Where, with its own interpreter; None: on this machine.
        shipped_accuracy: Where to look for an accuracy if the artifact has not been evaluated.
        progress: Gets what is being done, seconds of samples taken, and seconds wanted. It should
            not draw often: on a small machine its work disturbs what is measured.

    Returns:
        The record; `records.write` keeps it.

    Raises:
        UnknownNameError: The device table has no such board.
        EdgeDeployError: The artifact does not load here, or this is not the board asked for.
        MeasurementError: The worker died or got stuck.
    """
    if spec.device not in THIS_MACHINE:
        devices.find(spec.device)
    manifest = manifests.read(str(artifact))
    known = accuracy.find(artifact, manifest, shipped_accuracy)
    shown = ""

    def on_event(event: Mapping[str, Any]) -> None:
        nonlocal shown
        shown = event.get("phase", shown)
        progress(shown, min(event.get("seconds", 0.0), spec.duration_s), spec.duration_s)

    job = _job(artifact, spec)
    if board is None:
        result = worker_process.run(
            job, python=spec.python, timeout_s=spec.timeout_s, on_event=on_event
        )
    else:
        result, manifest = board.profile(artifact, job, timeout_s=spec.timeout_s, on_event=on_event)
        known = accuracy.find(artifact, manifest, shipped_accuracy)  # it may have been built there
    record = deriving.record(
        result, manifest, known, scenario=spec.scenario, options=spec.options()
    )
    counted = costs.read(artifact, manifest.engine, result["input_shape"])
    record = costs.add(record, counted)
    if spec.command:
        record = replace(record, document={**record.document, "command": list(spec.command)})
    return layers.add(record, result, counted) if spec.layers else record


def _job(artifact: Path, spec: ProfileSpec) -> dict[str, Any]:
    return {
        "job": "profile",
        "artifact": str(artifact.absolute()),
        "threads": spec.threads,
        "device": spec.engine_device,
        "board": None if spec.device in THIS_MACHINE else spec.device,
        "side": spec.side,
        "scenario": spec.scenario,
        "duration_s": spec.duration_s,
        "min_runs": spec.least_runs,
        "seed": spec.seed,
        "layers": spec.layers,
        **settings.complete(spec.scenario, spec.own_settings),
    }
