"""An estimate of energy from published figures of single operations; nothing here is measured.

Source:
    M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014,
    figure 1.1.9: 45 nm, 0.9 V.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgedeploy.graph.cost import Cost

SOURCE = "Horowitz, ISSCC 2014, figure 1.1.9: 45 nm, 0.9 V"
ASSUMES = (
    "every byte once from or to DRAM at 1.3 nJ per 64 bits, the least published; "
    "multiply-adds alone; no static power"
)

# A multiplication and an addition, by the bits of the input; integers are added in 32 bits.
_MULTIPLY_ADD_PJ = {32: 3.7 + 0.9, 16: 1.1 + 0.4, 8: 0.2 + 0.1}
_DRAM_PJ_PER_BYTE = 1300 / 8
_MJ = 1e-9  # of a picojoule


def estimate_mj(each: Cost) -> float | None:
    """Estimate what one operation takes, in mJ; None where a count or the type is not known."""
    if each.multiply_adds is None or each.memory_access_bytes is None:
        return None
    moved = each.memory_access_bytes * _DRAM_PJ_PER_BYTE
    if not each.multiply_adds:
        return moved * _MJ
    added = _MULTIPLY_ADD_PJ.get(each.op.inputs[0].bits or 0)
    return None if added is None else (moved + each.multiply_adds * added) * _MJ
