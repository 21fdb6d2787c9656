from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import typer

from edgedeploy.cli import app, measuring
from tests.artifacts import write_artifact
from tests.profiling.documents import raw_result, record

if TYPE_CHECKING:
    from pathlib import Path


def busy() -> dict[str, Any]:
    result = raw_result()
    result["conditions"]["other_cpus"] = 1.04
    return result


def test_strict_lets_what_is_measured_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring._require_measured([record(tmp_path / "a")])
    assert capsys.readouterr() == ("", "")


def test_strict_exits_with_7_and_says_what_is_suspect_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm, loaded = record(tmp_path / "a"), record(tmp_path / "b", result=busy(), model="loaded")
    with pytest.raises(typer.Exit) as caught:
        measuring._require_measured([calm, loaded])
    assert caught.value.exit_code == 7
    out, err = capsys.readouterr()
    assert not out
    assert err == (
        "--strict: loaded ort fp32 is suspect: other processes kept 1.0 of 2 CPUs busy\n"
    )


def test_strict_names_the_power_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = busy()
    result["board"] = {**result["board"], "power_mode": "7W"}
    with pytest.raises(typer.Exit):
        measuring._require_measured([record(tmp_path / "a", result=result, model="loaded")])
    assert "--strict: loaded ort fp32 7W is suspect" in capsys.readouterr().err


def test_strict_prints_the_profiles_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_artifact(tmp_path / "artifact")
    argv = ["profile", str(folder), "--duration", "0.05", "--threads", "1", "--strict", "--json"]
    code = app.run([*argv, "-o", str(tmp_path / "profiles")])
    (found,) = json.loads(capsys.readouterr().out)["profiles"]
    assert code == (0 if found["verdict"]["level"] == "measured" else 7)
