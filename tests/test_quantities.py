from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy import quantities
from edgedeploy.errors import UsageError
from edgedeploy.quantities import COUNT, ENERGY, RATE, SHARE, SIZE, TIME, WORK, Dimension


@pytest.mark.parametrize(
    ("text", "dimension", "amount"),
    [
        ("10ms", TIME, 10),
        ("10 ms", TIME, 10),
        ("250us", TIME, 0.25),
        ("250µs", TIME, 0.25),
        ("0.5s", TIME, 500),
        (".5s", TIME, 500),
        ("20mJ", ENERGY, 20),
        ("1J", ENERGY, 1000),
        ("5MB", SIZE, 5),
        ("5MiB", SIZE, 5.24288),
        ("500kB", SIZE, 0.5),
        ("0.60", SHARE, 0.6),
        ("60%", SHARE, 0.6),
        ("1", SHARE, 1),
        ("30", RATE, 30),
        ("30fps", RATE, 30),
        ("0.5G", WORK, 500),
        ("250000", WORK, 0.25),
    ],
)
def test_an_amount_is_kept_in_one_unit(text: str, dimension: Dimension, amount: float) -> None:
    assert quantities.parse(text, dimension, name="x") == pytest.approx(amount)


@pytest.mark.parametrize(
    ("text", "dimension", "problem"),
    [
        ("10", TIME, "has no unit"),
        ("10mJ", TIME, "has the unit 'mJ'"),
        ("10MS", TIME, "has the unit 'MS'"),
        ("5mb", SIZE, "has the unit 'mb'"),
        ("-5ms", TIME, "no time"),
        ("ten ms", TIME, "no time"),
        ("nan", SHARE, "no share"),
        ("1e3ms", TIME, "has the unit 'e3ms'"),
        ("60", SHARE, "a share is from 0 to 1"),
        ("120%", SHARE, "a share is from 0 to 1"),
        ("", RATE, "no rate"),
        ("9" * 400, RATE, "too large"),
    ],
)
def test_what_is_no_amount_is_refused_with_one_that_is(
    text: str, dimension: Dimension, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        quantities.parse(text, dimension, name="--max-x")
    assert caught.value.problem.startswith("--max-x is ")
    assert dimension.example in caught.value.fix


@pytest.mark.parametrize(
    ("amount", "dimension", "text"),
    [
        (0.0012345, TIME, "0.001234 ms"),
        (1234.5678, SIZE, "1235 MB"),
        (0.0, ENERGY, "0 mJ"),
        (-2.5, ENERGY, "-2.500 mJ"),
        (0.6, SHARE, "60.00 %"),
        (27.0, COUNT, "27"),
    ],
)
def test_four_digits_are_shown(amount: float, dimension: Dimension, text: str) -> None:
    assert quantities.write(amount, dimension) == text


@given(
    amount=st.floats(1e-9, 1e12),
    dimension=st.sampled_from([TIME, ENERGY, SIZE, RATE]),
    up=st.booleans(),
)
def test_a_limit_that_is_written_reads_as_one_that_the_amount_keeps_to(
    *, amount: float, dimension: Dimension, up: bool
) -> None:
    text = quantities.write_limit(amount, dimension, up=up)
    read = quantities.parse(text, dimension, name="x")
    assert read >= amount if up else read <= amount
    assert read == pytest.approx(amount, rel=2e-3, abs=1e-11)


def test_a_share_of_point_six_stays_point_six() -> None:
    assert float(quantities.write_limit(0.6, SHARE, up=False)) == 0.6
