"""Power and energy of a record, from what the worker's meter saw. docs/power.md explains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MJ = 1e3


def of(result: Mapping[str, Any], inferences: int) -> dict[str, Any]:
    """Return the values of a record that tell power and energy.

    Args:
        result: The worker's; ``energy`` is as `edgedeploy.worker.power.PowerSeen` says.
        inferences: Images that went through in the timed window.

    Returns:
        ``power`` and ``power_reason``, one of them null; ``energy_mj_per_inference``, the total;
        ``energy_above_idle_mj_per_inference``, null without an idle baseline
        (``power.idle_reason`` says why) and below 0 where the load does not stand out.

    Raises:
        KeyError: The result is not of this version's form.
    """
    seen = result["energy"]
    if seen is None:
        return {
            "power": None,
            "power_reason": result["energy_reason"],
            "energy_mj_per_inference": None,
            "energy_above_idle_mj_per_inference": None,
        }
    joules, seconds, idle_w = seen["joules"], seen["window_ns"] / 1e9, seen["idle_w"]
    above_idle = None if idle_w is None else (joules - idle_w * seconds) * _MJ / inferences
    return {
        "power": {"mean_w": joules / seconds, **seen},
        "power_reason": None,
        "energy_mj_per_inference": joules * _MJ / inferences,
        "energy_above_idle_mj_per_inference": above_idle,
    }
