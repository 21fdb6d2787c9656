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

# Resolution in mW: a step of the INA3221 (40 µV over the shunt) at the rail's voltage.
_STEPS_MW: Dict[Tuple[str, str], float] = {
    **{
        (board, rail): 40
        for board in ("xavier-nx", "orin-nano", "orin-nx")
        for rail in ("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")
    },
    ("agx-orin", "VDD_GPU_SOC"): 400,
    ("agx-orin", "VDD_CPU_CV"): 400,
    ("agx-orin", "VIN_SYS_5V0"): 100,
    ("tx2", "VDD_IN"): 38,
}


class Total(NamedTuple):
    """Which rails make the module.

    Attributes:
        rails: Their names; the power is their sum.
        rule: The same for people; says so if a label or the board is not trusted.
    """

    rails: Tuple[str, ...]
    rule: str


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
    name = _without_prefix(board)
    if name not in _MODULE:
        raise UnknownNameError("board", board, _MODULE)
    return _MODULE[name]


def has_none(board: str) -> bool:
    """Return whether a board is one that measures no rail.

    Args:
        board: A device name, with or without ``jetson-``; any other machine may have one.
    """
    return _MODULE.get(_without_prefix(board)) == ()


def total(rails_mw: Dict[str, int], board: str) -> Optional[Total]:
    """Return which rails make the module; None if one that is needed is missing.

    Args:
        rails_mw: Milliwatts by rail. Rails that the total does not need are ignored.
        board: A device name, with or without ``jetson-``; a machine that is none of them
            (``"local"``: a carrier with a device tree of its own) is told by its rails.

    Example:
        >>> total({"VDD_IN": 5000, "VDD_SOC": 900}, "local")
        Total(rails=('VDD_IN',), rule='VDD_IN (the board is not known, its rails are)')
    """
    name = _without_prefix(board)
    if name in _MODULE:
        return _sum_of(_MODULE[name], rails_mw)
    for needed in sorted(
        set(filter(None, _MODULE.values())), key=lambda names: (len(names), names)
    ):
        found = _sum_of(needed, rails_mw)
        if found is not None:
            return Total(found.rails, f"{found.rule} (the board is not known, its rails are)")
    return None


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
    found = _sum_of(module_rails(board), rails_mw)
    if found is None:
        return None
    return ModulePower(sum(rails_mw[rail] for rail in found.rails), found.rule)


def step_mw(rail: str, board: str) -> Optional[float]:
    """Return the resolution of a rail that tegrastats prints; None where it is not known.

    Args:
        rail: Its name.
        board: A device name, with or without ``jetson-``.
    """
    return _STEPS_MW.get((_without_prefix(board), rail))


def _sum_of(needed: Tuple[str, ...], rails_mw: Dict[str, int]) -> Optional[Total]:
    if not needed or not all(rail in rails_mw for rail in needed):
        return None
    if needed == (NANO_INPUT,) and rails_mw.get(NANO_GPU, 0) > rails_mw[NANO_INPUT]:
        # Some carriers exchange the two labels; a part cannot draw more than the whole.
        return Total((NANO_GPU,), f"{NANO_GPU} (labels swapped: it exceeds {NANO_INPUT})")
    return Total(needed, " + ".join(needed))


def _without_prefix(board: str) -> str:
    return board[len("jetson-") :] if board.startswith("jetson-") else board
