"""Whole profiles with a ``tegrastats`` of our own on the PATH."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from edgedeploy.profiling import energy, measuring
from edgedeploy.profiling.measuring import ProfileSpec
from tests import fake_tegrastats as fake
from tests.artifacts import write_artifact

if TYPE_CHECKING:
    from pathlib import Path


def profile(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str | None) -> dict[str, Any]:
    artifact = write_artifact(folder / "artifact")
    if does is not None:
        path = fake.install(folder / "bin", does)
        monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    spec = ProfileSpec(duration_s=0.15, threads=1)
    return dict(measuring.profile(artifact, spec).document)


def test_profile_with_a_sensor_has_power_and_energy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = profile(tmp_path, monkeypatch, fake.FOREVER)
    power = document["power"]
    assert document["power_reason"] is None
    assert power["mean_w"] == pytest.approx(3.0)
    assert power["joules"] == pytest.approx(3.0 * document["window_s"])
    assert power["source"] == "tegrastats"
    assert power["rule"] == "POM_5V_IN (the board is not known, its rails are)"
    assert power["idle_w"] == pytest.approx(3.0)
    per_inference = 3000 * document["window_s"] / document["latency_ms"]["count"]
    assert document["energy_mj_per_inference"] == pytest.approx(per_inference)
    assert document["energy_above_idle_mj_per_inference"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (fake.DIES, "it ended with exit code 3"),
        (fake.STALLS, "at most 1 s is bridged"),
        (fake.GARBAGE, "it has printed no record, but"),
        (fake.NEEDS_ROOT, "run as root: sudo -E $(command -v edgedeploy) profile"),
        (None, "no sensor measured it: "),
    ],
)
def test_profile_without_power_has_all_the_rest_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str | None, reason: str
) -> None:
    document = profile(tmp_path, monkeypatch, does)
    assert document["power"] is None
    assert document["energy_mj_per_inference"] is None
    assert document["energy_above_idle_mj_per_inference"] is None
    assert reason in document["power_reason"]
    assert document["latency_ms"]["count"] >= 64


def test_energy_above_idle_may_be_below_zero_and_is_not_cut() -> None:
    seen = {"joules": 1.0, "window_ns": 10**9, "idle_w": 1.5}
    values = energy.of({"energy": seen, "energy_reason": None}, 100)
    assert values["power"]["mean_w"] == 1.0
    assert values["energy_mj_per_inference"] == pytest.approx(10)
    assert values["energy_above_idle_mj_per_inference"] == pytest.approx(-5)


def test_energy_without_an_idle_baseline_is_the_total_alone() -> None:
    seen = {"joules": 1.0, "window_ns": 10**9, "idle_w": None}
    values = energy.of({"energy": seen, "energy_reason": None}, 100)
    assert values["energy_mj_per_inference"] == pytest.approx(10)
    assert values["energy_above_idle_mj_per_inference"] is None
