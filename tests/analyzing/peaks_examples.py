"""Peaks with round numbers, as if they had been measured."""

from __future__ import annotations

from edgedeploy.analyzing.kept import Host
from edgedeploy.analyzing.peaks import Bandwidth, Peaks, Rate

HOST = Host(cpu="A CPU", threads=2, versions={"numpy": "2.0", "ort": "1.20"})


def peaks(
    *, host: Host = HOST, bandwidth: float = 10e9, fp32: float = 40e9, int8: float | None = 80e9
) -> Peaks:
    """Return 10 GB/s and 40 or 80 G multiply-adds per second, unless told otherwise."""
    reason = None if int8 else "ort runs the product as {'float32': 1}, not int8"
    return Peaks(
        host=host,
        date="2026-01-02T03:04:05+00:00",
        load=0.25,
        array_bytes=128 << 20,
        bandwidths=(
            Bandwidth(kernel="copy", best=bandwidth / 2, median=bandwidth / 2),
            Bandwidth(kernel="add", best=bandwidth, median=bandwidth),
        ),
        rates=(
            Rate(backend="openvino", precision="fp32", best=fp32 / 2, median=fp32 / 2),
            Rate(backend="ort", precision="fp32", best=fp32, median=fp32),
            Rate(backend="ort", precision="int8", best=int8, median=int8, reason=reason),
        ),
    )
