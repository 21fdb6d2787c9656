from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from edgedeploy.analyzing import kept, prices
from edgedeploy.analyzing.prices import CHANNELS, WIDTHS, Price, Prices
from edgedeploy.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path


def price(
    number: float, *, rule: str = WIDTHS, backend: str = "ort", precision: str = "fp32"
) -> Price:
    return Price(
        rule=rule,
        number=number,
        setting=f"1:{number:g}",
        baseline="1:1",
        backend=backend,
        precision=precision,
        relative=0.5 + number / 100,
    )


def test_prices_are_found_again_on_the_same_device_only(tmp_path: Path) -> None:
    assert prices.of_this_device(threads=1, folder=tmp_path) is None
    made = Prices(date="2026-01-02", prices=(price(6),))
    prices.keep(made, kept.this_host(1), folder=tmp_path)
    assert prices.of_this_device(threads=1, folder=tmp_path) == made
    assert prices.of_this_device(threads=2, folder=tmp_path) is None


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"date": "x", "prices": [{}]}, "KeyError: 'rule'"),
        ({"date": "x", "prices": 1}, "TypeError"),
        ({"date": None, "prices": []}, "TypeError: None is no text"),
        ({"date": "x", "prices": [asdict(price(6)) | {"number": "a"}]}, "ValueError: 'a' is no"),
        ({"date": "x", "prices": [asdict(price(6)) | {"relative": None}]}, "ValueError: None is"),
        ({"date": "x", "prices": [asdict(price(6)) | {"backend": 1}]}, "TypeError: 1 is no text"),
    ],
)
def test_damaged_prices_say_how_to_measure_again(
    tmp_path: Path, document: dict[str, object], why: str
) -> None:
    host = kept.this_host(1)
    kept.write(kept.place(tmp_path, "guidelines", host), host, document)
    with pytest.raises(FileError, match=f"is damaged: {why}") as error:
        prices.of_this_device(threads=1, folder=tmp_path)
    assert "benchmarks/guidelines.py" in error.value.fix


def test_the_nearest_price_is_one_of_each_backend_in_the_same_type() -> None:
    made = Prices(
        date="2026-01-02",
        prices=(
            price(2), price(6), price(12), price(6, backend="openvino"),
            price(7, precision="int8"), price(7, rule="G2"),
        ),
    )  # fmt: skip
    assert made.nearest(WIDTHS, 8, "fp32") == (price(6), price(6, backend="openvino"))
    assert made.nearest(WIDTHS, 8, "fp16") == ()
    assert made.nearest(WIDTHS, 8, None) == ()


def test_channels_are_set_against_those_that_are_as_uneven() -> None:
    made = Prices(date="x", prices=tuple(price(n, rule=CHANNELS) for n in (24, 31, 33, 40)))
    assert [each.number for each in made.nearest(CHANNELS, 26, "fp32")] == [31]
    assert [each.number for each in made.nearest(CHANNELS, 56, "fp32")] == [40]


def test_prices_in_words_name_each_backend() -> None:
    assert prices.in_words([price(6), price(6, backend="openvino")]) == (
        "measured: 1:6 at 56% (ort), 56% (openvino) of the speed of 1:1"
    )
    assert prices.in_words([]) == ""
