from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.reporting import envelopes


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200),
    st.integers(1, 50),
)
def test_no_value_is_lost_and_no_extreme_is_hidden(values: list[float], most: int) -> None:
    at = np.arange(len(values), dtype=float)
    found = envelopes.buckets(at, np.array(values), most)
    assert len(found) == min(most, len(values))
    assert sum(bucket.size for bucket in found) == len(values)
    assert max(bucket.high for bucket in found) == max(values)
    assert min(bucket.low for bucket in found) == min(values)
    assert all(bucket.low <= bucket.median <= bucket.high for bucket in found)
    assert found[0].start == 0
    assert found[-1].end == len(values) - 1


def test_a_single_slow_call_among_thousands_shows_in_its_bucket() -> None:
    values = np.ones(100_000)
    values[54_321] = 9.0
    (slow,) = [b for b in envelopes.buckets(np.arange(1e5), values, 24) if b.high > 1]
    assert slow.start <= 54_321 <= slow.end
    assert slow.median == 1
