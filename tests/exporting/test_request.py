from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy import model_file
from edgedeploy.cli import app
from edgedeploy.errors import UsageError
from edgedeploy.exporting.request import ExportRequest, export
from edgedeploy.runtime.preprocessing import Preprocessing
from edgedeploy.types import Family
from edgedeploy.zoo import native_weights, networks
from edgedeploy.zoo.random_weights import random
from tests.zoo.peers import STYLE, V1

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("option", "value"),
    [("alpha", 0.5), ("classes", 7), ("preset", "keras"), ("activation", "relu")],
)
def test_what_a_module_brings_itself_is_refused(option: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"--{option} is {value}, and --module nets:make") as said:
        ExportRequest(name="net", resolution=32, module="nets:make", **{option: value})
    assert said.value.fix.startswith(f"leave --{option} out")
    assert ("--mean and --std" in said.value.fix) == (option == "preset")


def test_a_base_resolution_below_1_is_refused() -> None:
    with pytest.raises(UsageError, match="--base-resolution is 0, a side in pixels is 1 or more"):
        ExportRequest(name=V1.value, resolution=32, alpha=0.25, random_seed=1, base_resolution=0)


def test_random_weights_take_the_base_resolution_given_or_the_usual_one(tmp_path: Path) -> None:
    for given, wanted in ((None, 224), (96, 96)):
        request = ExportRequest(
            name=V1.value, resolution=32, alpha=0.05, random_seed=1, base_resolution=given
        )
        path, _ = export(request, hints=model_file.ModelHints(), out=tmp_path)
        assert model_file.read(path).base_resolution == wanted


def test_weights_that_say_their_base_resolution_take_no_other(tmp_path: Path) -> None:
    drawn = random(networks.network(V1, alpha=0.05, classes=4, style=STYLE), seed=0)
    path = tmp_path / "own.safetensors"
    rule = Preprocessing((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    native_weights.save(replace(drawn, base_resolution=112, preprocessing=rule), path)

    def asked(base: int | None) -> ExportRequest:
        return ExportRequest(
            name=V1.value, resolution=32, alpha=0.05, weights=path, base_resolution=base
        )

    hints = model_file.ModelHints()
    with pytest.raises(UsageError, match="base resolution is 112, --base-resolution says 96"):
        export(asked(96), hints=hints, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    for base in (None, 112):
        written, _ = export(asked(base), hints=hints, out=tmp_path)
        assert model_file.read(written).base_resolution == 112


def test_help_names_every_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["export", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"{family.value}" in said for family in Family)
