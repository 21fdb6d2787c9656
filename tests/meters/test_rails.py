from __future__ import annotations

import pytest

from edgedeploy.meters import rails
from edgedeploy.meters.rails import Total

UNKNOWN = "(the board is not known, its rails are)"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"], Total(("VDD_IN",), f"VDD_IN {UNKNOWN}")),
        (["POM_5V_IN", "POM_5V_GPU"], Total(("POM_5V_IN",), f"POM_5V_IN {UNKNOWN}")),
        (
            ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"],
            Total(
                ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
                f"GPU + CPU + SOC + CV + VDDRQ + SYS5V {UNKNOWN}",
            ),
        ),
        (
            ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO", "NC"],
            Total(
                ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
                f"VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0 {UNKNOWN}",
            ),
        ),
        (
            ["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0", "VIN"],
            Total(
                ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
                f"VDD_GPU + VDD_CPU_SOC_MSS + VIN_SYS_5V0 {UNKNOWN}",
            ),
        ),
        (["VIN_SYS_5V0", "VDD_CPU"], None),
        ([], None),
    ],
)
def test_board_that_nobody_knows_is_told_by_its_rails(
    seen: list[str], expected: Total | None
) -> None:
    assert rails.total(dict.fromkeys(seen, 1000), "local") == expected


def test_board_that_is_known_has_its_own_rule_and_no_other() -> None:
    assert rails.total({"VDD_IN": 5000}, "jetson-orin-nx") == Total(("VDD_IN",), "VDD_IN")
    assert rails.total({"VDD_IN": 5000}, "agx-orin") is None
    assert rails.total({"VDD_IN": 5000}, "tk1") is None


def test_swapped_labels_of_a_nano_are_said() -> None:
    swapped = {"POM_5V_IN": 3200, "POM_5V_GPU": 8900}
    expected = Total(("POM_5V_GPU",), "POM_5V_GPU (labels swapped: it exceeds POM_5V_IN)")
    assert rails.total(swapped, "nano") == expected


def test_steps_are_those_of_the_board() -> None:
    assert rails.step_mw("VDD_IN", "jetson-orin-nano") == 40
    assert rails.step_mw("VDD_CPU_CV", "agx-orin") == 400
    assert rails.step_mw("POM_5V_IN", "nano") is None
