"""How far a figure of one run may be off where no samples tell."""

from __future__ import annotations

_RSS_MB, _RSS_SHARE = 1.0, 0.01


def memory_mb(first: float, second: float) -> float:
    """Return by how many MB the peaks of two runs of one artifact may differ.

    A peak depends on where the allocator and the loader happened to put things. Ten runs of one
    artifact (a MobileNet on ONNX Runtime, 1 thread, 2026-11-22) had peaks of 70.9 to 71.3 MB. Twice
    that spread is taken, as a share too, since larger processes vary by more.

    Args:
        first: Peak in MB.
        second: That of the other.

    Example:
        >>> memory_mb(71.0, 70.0), memory_mb(500.0, 100.0)
        (1.0, 5.0)
    """
    return max(_RSS_MB, _RSS_SHARE * max(first, second))
