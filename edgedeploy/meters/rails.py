"""Which rails add up to the power of a module: one rule per board, data.

Source: NVIDIA Jetson Linux developer guides, r28 to r38, "Power and performance"; AGX Orin:
NVIDIA forum 223111 (the DDR rail is already inside VIN_SYS_5V0); Nano with swapped labels: seen
on a carrier with JetPack 4.6.
"""

from typing import Dict, NamedTuple, Optional, Tuple

from ..runtime.errors import UnknownNameError

NANO_INPUT = "POM_5V_IN"
NANO_GPU = "POM_5V_GPU"

# Board -> the rails whose sum is the module. Where a board has an input rail, that one alone:
# it covers what the others leave out (memory, IO), and contains them. Empty: no rails printed.
_MODULE: Dict[str, Tuple[str, ...]] = {
    "tk1": (),
    "tx1": ("VDD_IN",),
    "tx2": ("VDD_IN",),
    "nano": (NANO_INPUT,),
    "xavier-nx": ("VDD_IN",),
    "agx-xavier": ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
    "orin-nano": ("VDD_IN",),
    "orin-nx": ("VDD_IN",),
    "agx-orin": ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    "agx-thor": ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
}


class ModulePower(NamedTuple):
    """Power of a whole module, and where the number comes from.

    Attributes:
        milliwatts: Of the module: carrier, fan and USB are outside.
        rule: The rails that were added, e.g. ``"VDD_IN"``; says so if a label is not trusted.
    """

    milliwatts: int
    rule: str


def boards() -> Tuple[str, ...]:
    """Return the boards with a rule, without ``jetson-``."""
    return tuple(_MODULE)


def module_rails(board: str) -> Tuple[str, ...]:
    """Return the rails that add up to the module; empty where the board measures none.

    Args:
        board: A device name, with or without ``jetson-``.

    Raises:
        UnknownNameError: No such board.
    """
    name = board[len("jetson-") :] if board.startswith("jetson-") else board
    if name not in _MODULE:
        raise UnknownNameError("board", board, _MODULE)
    return _MODULE[name]


def module_power(rails_mw: Dict[str, int], board: str) -> Optional[ModulePower]:
    """Add up the rails of a board; None if a rail that its total needs is missing.

    Args:
        rails_mw: Milliwatts by rail. Rails that the total does not need are ignored.
        board: A device name, with or without ``jetson-``.

    Raises:
        UnknownNameError: No such board.

    Example:
        >>> module_power({"VDD_GPU_SOC": 2000, "VDD_CPU_CV": 400, "VIN_SYS_5V0": 3000}, "agx-orin")
        ModulePower(milliwatts=5400, rule='VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0')
    """
    needed = module_rails(board)
    if not needed or not all(rail in rails_mw for rail in needed):
        return None
    if needed == (NANO_INPUT,) and rails_mw.get(NANO_GPU, 0) > rails_mw[NANO_INPUT]:
        # Some carriers exchange the two labels; a part cannot draw more than the whole.
        return ModulePower(
            rails_mw[NANO_GPU], f"{NANO_GPU} (labels swapped: it exceeds {NANO_INPUT})"
        )
    return ModulePower(sum(rails_mw[rail] for rail in needed), " + ".join(needed))
