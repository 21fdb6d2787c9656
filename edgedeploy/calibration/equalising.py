"""How much each channel is scaled, so that all of a tensor use its whole range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.graph.equalise import links

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from edgedeploy.types import Array

LARGEST_SCALE = 64.0
_DEAD = 1e-6


def choose_scales(graph: ir.Graph, largest: Mapping[str, Array]) -> dict[str, Array]:
    """Return the scales that give each channel of a tensor the range of the widest one.

    One range then serves every channel, as if each had a scale of its own. It costs nothing where
    a depthwise kernel reads the tensor, for that has one scale a channel; any other kernel gets
    smaller weights for the channels that grew, in the same proportion as they need less accuracy.

    Args:
        graph: Batch norm folded.
        largest: By `Link.name`, ``(channels,)``: the largest magnitude of each channel.

    Returns:
        By `Link.name`, ``(channels,)`` float32, from 1 to `LARGEST_SCALE`; channels that are
        always 0 stay as they are.
    """
    found = {}
    for link in links(graph):
        top = largest[link.name].max()
        if top > 0:
            seen = np.maximum(largest[link.name], top * _DEAD)
            scale = np.clip(top / seen, 1.0, LARGEST_SCALE)
            alive = largest[link.name] > top * _DEAD
            found[link.name] = np.where(alive, scale, 1.0).astype(np.float32)
    return found
