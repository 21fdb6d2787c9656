"""From samples of power to energy: the trapezoid rule over exactly a window."""

from typing import List, NamedTuple, Optional, Sequence


class Span(NamedTuple):
    """A window on the clock of the samples, in nanoseconds."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return (self.end_ns - self.start_ns) / 1e9


def find_gap(times_ns: Sequence[int], span: Span, longest_s: float) -> Optional[Span]:
    """Return the first part of the window that no two neighbours bridge; None if there is none.

    The window needs a sample before it and one after it; a gap at an end reaches to that end.

    Args:
        times_ns: Of the samples, ascending.
        span: The window.
        longest_s: How far apart two neighbours may lie.
    """
    longest_ns = int(longest_s * 1e9)
    before = [t_ns for t_ns in times_ns if t_ns <= span.start_ns][-1:]
    after = [t_ns for t_ns in times_ns if t_ns >= span.end_ns][:1]
    inside = [t_ns for t_ns in times_ns if span.start_ns < t_ns < span.end_ns]
    if not before:
        return Span(span.start_ns, (inside + after + [span.end_ns])[0])
    known = before + inside + after
    for left_ns, right_ns in zip(known, known[1:]):  # noqa: RUF007 -- pairwise is Python 3.10
        if right_ns - left_ns > longest_ns:
            return Span(max(left_ns, span.start_ns), min(right_ns, span.end_ns))
    return None if after else Span(max(known[-1], span.start_ns), span.end_ns)


def integrate(times_ns: Sequence[int], values: Sequence[float], span: Span) -> float:
    """Return the integral over the window, in units of ``values`` × seconds.

    At both ends the value is interpolated between the neighbours.

    Args:
        times_ns: Of the samples, ascending; the first not after the window's start, the last not
            before its end: see `find_gap`.
        values: As many.
        span: The window.

    Example:
        >>> integrate([0, 2_000_000_000], [0.0, 2.0], Span(1_000_000_000, 2_000_000_000))
        1.5
    """
    area = 0.0
    points = list(zip(times_ns, values))
    for (left_ns, left), (right_ns, right) in zip(points, points[1:]):  # noqa: RUF007 -- as above
        from_ns, to_ns = max(left_ns, span.start_ns), min(right_ns, span.end_ns)
        if from_ns < to_ns:
            slope = (right - left) / (right_ns - left_ns)
            middle = left + slope * ((from_ns + to_ns) / 2 - left_ns)
            area += middle * (to_ns - from_ns) / 1e9
    return area


def uncertainty_pct(values: Sequence[float], step: float, mean: float) -> Optional[float]:
    """Return the 95 % uncertainty of the mean of samples, as a percentage of it.

    Twice the root of scatter²/n + step²/12. The second term, the sensor's rounding, does not
    shrink with the number of samples: a steady load is rounded the same way every time. Slow
    drift and the sensor's calibration are in neither.

    Args:
        values: Samples inside the window.
        step: The sensor's resolution, in the same unit.
        mean: Of the window; None comes back if it is not above 0.

    Source:
        JCGM 100:2008 (GUM), 4.2.3 and F.2.2.1.
    """
    if len(values) < 2 or mean <= 0:
        return None
    average = sum(values) / len(values)
    variance = sum((value - average) ** 2 for value in values) / (len(values) - 1)
    return float(200 * (variance / len(values) + step**2 / 12) ** 0.5 / mean)


def inside(times_ns: Sequence[int], values: Sequence[float], span: Span) -> List[float]:
    """Return the values of the samples that lie in the window, its ends included."""
    return [v for t_ns, v in zip(times_ns, values) if span.start_ns <= t_ns <= span.end_ns]
