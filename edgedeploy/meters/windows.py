"""What samples say about a window: energy, mean power of each rail, uncertainty; or why nothing.

Pure functions of a recording; docs/power.md says what the values mean.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from . import rails
from .integrating import Span, find_gap, inside, integrate, uncertainty_pct
from .sampler import Recording
from .sources import Source

_LEAST_SAMPLES = 2


class _Series(NamedTuple):
    """Samples of one rail or of the total: times in ns and milliwatts, as many."""

    t_ns: List[int]
    mw: List[float]


def evaluate(
    recording: Recording, window: Span, idle: Optional[Span], source: Source, board: str
) -> Tuple[Optional[Dict[str, Any]], Optional[str]]:
    """Return the energy of a window and None, or None and why it is not known.

    Args:
        recording: Samples from before the window to after it.
        window: In which the energy is wanted.
        idle: When the machine did nothing; None: never.
        source: The sensor.
        board: A device name, for the rule of its rails.

    Returns:
        As `edgedeploy.worker.power.PowerSeen` says.
    """
    found = _find_total(recording, source, board)
    if found is None:
        named = ", ".join(sorted(recording.rails_mw)) or "none"
        return None, f"{source.name}: its rails ({named}) do not make the power of {board}"
    series = _add(recording, found.rails)
    reason = _doubt(series, window, source, recording.ended, "the window")
    if reason is not None:
        return None, reason
    idle_w, idle_reason = _idle(series, idle, source, recording.ended)
    joules = integrate(series.t_ns, series.mw, window) / 1e3
    step_mw = _step_mw(recording, found.rails, board)
    values = inside(series.t_ns, series.mw, window)
    mean_mw = joules / window.seconds * 1e3
    return {
        "source": source.name,
        "joules": joules,
        "window_ns": window.end_ns - window.start_ns,
        "rails_w": _rails_w(recording, window, source),
        "rule": found.rule,
        "idle_w": idle_w,
        "idle_reason": idle_reason,
        "samples": len(values),
        "uncertainty_pct": None if step_mw is None else uncertainty_pct(values, step_mw, mean_mw),
        "trace": {"t_ns": [t_ns - window.start_ns for t_ns in series.t_ns], "mw": series.mw},
    }, None


def _find_total(recording: Recording, source: Source, board: str) -> Optional[rails.Total]:
    """Decide once for all samples what the total is, by the means of the rails."""
    if source.scope is not None:
        return rails.Total(tuple(sorted(recording.rails_mw)), source.scope)
    means = {}
    for rail, milliwatts in recording.rails_mw.items():
        known = [value for value in milliwatts if value is not None]
        if known:
            means[rail] = round(sum(known) / len(known))
    return rails.total(means, board)


def _add(recording: Recording, names: Tuple[str, ...]) -> _Series:
    """Add rails up, at the times at which each of them was told."""
    columns = [recording.rails_mw[name] for name in names]
    series = _Series([], [])
    for t_ns, row in zip(recording.t_ns, zip(*columns)):
        if None not in row:
            series.t_ns.append(t_ns)
            series.mw.append(sum(row))
    return series


def _doubt(
    series: _Series, span: Span, source: Source, ended: Optional[str], where: str
) -> Optional[str]:
    """Return why samples say nothing about a span of time; None if they do."""
    if span.seconds < source.least_window_s:
        return (
            f"{source.name} averages by itself: {where} of {span.seconds:.2f} s is shorter than "
            f"the {source.least_window_s:g} s that it needs"
        )
    gap = find_gap(series.t_ns, span, source.gap_s)
    if gap is not None:
        from_s, to_s = ((t_ns - span.start_ns) / 1e9 for t_ns in gap)
        why = f"at most {source.gap_s:g} s is bridged" if ended is None else ended
        return f"{source.name} gave nothing from {from_s:.2f} s to {to_s:.2f} s of {where}: {why}"
    count = len(inside(series.t_ns, series.mw, span))
    if count < _LEAST_SAMPLES:
        return (
            f"{source.name} gave too few samples ({count}) in {where} of {span.seconds:.3f} s, "
            f"{_LEAST_SAMPLES} are needed: measure for longer"
        )
    return None


def _idle(
    series: _Series, idle: Optional[Span], source: Source, ended: Optional[str]
) -> Tuple[Optional[float], Optional[str]]:
    """Return the mean power of the idle time in W and None, or None and why it is not known."""
    if idle is None:
        return None, "no idle time was measured"
    reason = _doubt(series, idle, source, ended, "the idle time")
    if reason is not None:
        return None, reason
    times_ns = inside(series.t_ns, series.t_ns, idle)
    quiet = Span(int(times_ns[0]), int(times_ns[-1]))  # the neighbours outside may be at work
    if quiet.seconds == 0:
        return None, f"all samples of the idle time came at once from {source.name}"
    return integrate(series.t_ns, series.mw, quiet) / 1e3 / quiet.seconds, None


def _rails_w(recording: Recording, window: Span, source: Source) -> Dict[str, float]:
    """Return the mean of each rail that was told all through the window."""
    means = {}
    for rail in sorted(recording.rails_mw):
        series = _add(recording, (rail,))
        if find_gap(series.t_ns, window, source.gap_s) is None:
            means[rail] = integrate(series.t_ns, series.mw, window) / 1e3 / window.seconds
    return means


def _step_mw(recording: Recording, names: Tuple[str, ...], board: str) -> Optional[float]:
    """Return the resolution of a sum; None if that of a part is not known."""
    steps = [recording.steps_mw.get(name, rails.step_mw(name, board)) for name in names]
    known = [step for step in steps if step is not None]
    return sum(step**2 for step in known) ** 0.5 if len(known) == len(steps) else None
