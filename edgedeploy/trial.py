"""What is built and run here for seconds only, to see what a library does on this machine."""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.parser
from onnx import TensorProto, helper, numpy_helper

from edgedeploy import artifact, backends
from edgedeploy.advice import Gain
from edgedeploy.calibration_values import TensorRange
from edgedeploy.runtime.runtime import Runtime
from edgedeploy.types import BuildSpec, Precision
from edgedeploy.worker import timing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edgedeploy.source_forms import SourceForm
    from edgedeploy.types import Array

TURNS = 7
_TURN_S = 0.04
_PAIRS_S = 3.0
_WARM_UP = timing.WarmUp(min_s=0.05, max_s=0.25, window_s=0.02)
_SIDE = 80
# Channels and stride of each depthwise separable block: the first half of a V1 0.5.
_BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1))
_STEM = 16

_PROBE = """<ir_version: 7, opset_import: ["" : 13]>
probe (KIND[1, 4, 8, 8] x) => (KIND[1, 4, 8, 8] y) BODY"""
_FLOATING = "<KIND[4, 4, 3, 3] w = {WEIGHTS}> { y = Conv <pads = [1, 1, 1, 1]> (x, w) }"
_QUANTISED = """
<float scale = {0.1}, uint8 middle = {128}, int8 zero = {0}, int8[4, 4, 3, 3] w = {WEIGHTS}> {
    x_q = QuantizeLinear (x, scale, middle)
    x_dq = DequantizeLinear (x_q, scale, middle)
    w_dq = DequantizeLinear (w, scale, zero)
    conv = Conv <pads = [1, 1, 1, 1]> (x_dq, w_dq)
    conv_q = QuantizeLinear (conv, scale, middle)
    y = DequantizeLinear (conv_q, scale, middle)
}"""


def write_convolution(path: Path, precision: Precision) -> None:
    """Write a 3 × 3 convolution of (1, 4, 8, 8) that asks for ``precision``."""
    kind = "float16" if precision is Precision.FP16 else "float"
    body = _QUANTISED if precision is Precision.INT8 else _FLOATING
    weights = ", ".join(["1"] * (4 * 4 * 3 * 3))  # their value does not matter
    text = _PROBE.replace("BODY", body).replace("KIND", kind).replace("WEIGHTS", weights)
    onnx.save(onnx.parser.parse_model(text), path)


def measure(
    backend: str,
    precisions: Collection[Precision],
    *,
    turns: int = TURNS,
    threads: int | None = None,
    clock: timing.Clock = timing.monotonic_ns,
) -> tuple[Gain, ...]:
    """Time the front half of a MobileNet in INT8 and in each other type; takes about a second.

    All types are loaded at once and timed in turns, forwards and backwards, so that what else the
    machine does meanwhile meets all of them. A gain is the ratio of two lower quartiles of one
    turn: other processes only ever add time.

    Args:
        backend: ``"ort"`` or ``"openvino"``.
        precisions: The types that it really runs here.
        turns: How many ratios to take.
        threads: As `Runtime.load`.
        clock: Monotonic, in nanoseconds.

    Returns:
        One gain per other type; none if INT8 is not among ``precisions``.

    Raises:
        EdgeDeployError: The library does not build or load the graph.
    """
    others = [precision for precision in Precision if precision in precisions]
    if Precision.INT8 not in others:
        return ()
    others.remove(Precision.INT8)
    batch = np.random.default_rng(0).uniform(-1, 1, (1, 3, _SIDE, _SIDE)).astype(np.float32)
    with tempfile.TemporaryDirectory() as root, ExitStack() as stack:
        calls = {}
        for precision in (Precision.INT8, *others):
            folder = _build(backend, precision, Path(root))
            runtime = stack.enter_context(Runtime.load(str(folder), threads=threads))
            calls[precision] = runtime.bind(batch)
        times = _in_turns(calls, turns, clock)
    return tuple(_gain(backend, other, times[other], times[Precision.INT8]) for other in others)


def slowdown(
    folder: Path,
    reference: Path,
    *,
    side: tuple[int, int],
    threads: int | None = None,
    duration_s: float = _PAIRS_S,
    clock: timing.Clock = timing.monotonic_ns,
) -> float:
    """Return how many times as long one artifact takes as another, for one picture at a time.

    Both are loaded at once and take turns, A B B A; the ratio is that of their medians.

    Args:
        folder: An artifact.
        reference: The other.
        side: Height and width to feed, in pixels.
        threads: As `Runtime.load`.
        duration_s: Seconds that this takes about, at least.
        clock: Monotonic, in nanoseconds.
    """
    batch = np.random.default_rng(0).uniform(-1, 1, (1, 3, *side)).astype(np.float32)
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(Runtime.load(str(path), threads=threads)).bind(batch)
            for path in (folder, reference)
        )
        for call in (first, second):
            timing.warm_up(call, _WARM_UP, clock)
        times = timing.time_pairs(first, second, duration_s, clock)
    ours, theirs = (statistics.median(found) for found in times)
    return ours / theirs


def _in_turns(
    calls: dict[Precision, Callable[[], None]], turns: int, clock: timing.Clock
) -> dict[Precision, list[float]]:
    """Return the lower quartile of a call's time in each turn, in nanoseconds."""
    order = list(calls)
    quartiles: dict[Precision, list[float]] = {precision: [] for precision in order}
    for call in calls.values():
        timing.warm_up(call, _WARM_UP, clock)
    for _ in range(turns):
        for precision in order:
            samples = timing.time_calls(calls[precision], _TURN_S, 4, clock)
            quartiles[precision].append(statistics.quantiles(samples.ns, n=4)[0])
        order.reverse()
    return quartiles


def _gain(backend: str, other: Precision, theirs: list[float], ours: list[float]) -> Gain:
    ratios = sorted(their / our for their, our in zip(theirs, ours, strict=True))
    return Gain(
        backend=backend,
        against=other,
        ratio=statistics.median(ratios),
        low=ratios[0],
        high=ratios[-1],
        turns=len(ratios),
    )


def _build(name: str, precision: Precision, root: Path) -> Path:
    """Build the block for a backend and return the artifact's folder."""
    backend = backends.get(name)
    path, folder = root / f"{precision.value}.onnx", root / precision.value
    folder.mkdir()
    spec = BuildSpec(backend=name, precision=precision)
    path.write_bytes(_source(backend.source_form(spec)))
    built = backend.build(path, spec, folder)
    about = {
        "model": "block",
        "variant": None,
        "backend": name,
        "backend_version": backend.version(),
        "precision": {"asked": precision.value, "runs": dict(built.runs)},
        "inputs": [{"name": "image", "shape": [None, 3, _SIDE, _SIDE], "dtype": "float32"}],
        "outputs": [{"name": "y", "shape": [None, None, None, None], "dtype": "float32"}],
        "softmax": False,
        "preprocessing": None,
        "labels": None,
        "options": {},
    }
    artifact.write_manifest(folder, built, about)
    return folder


def _source(form: SourceForm) -> bytes:
    import onnx_ir as ir

    from edgedeploy.graph.float16 import to_float16
    from edgedeploy.graph.qdq import quantise
    from edgedeploy.graph.tensors import activations

    graph = ir.serde.deserialize_model(mobilenet_front())
    if form.style is not None:
        ranges = dict.fromkeys(activations(graph), TensorRange(0, 6, 0, 6))
        ranges["image"] = TensorRange(-1, 1, -1, 1)
        quantise(graph, ranges, form.style)
    elif form.half:
        to_float16(graph)
    data: bytes = ir.serde.serialize_model(graph).SerializeToString()
    return data


def mobilenet_front() -> onnx.ModelProto:
    """Return a convolution and seven depthwise separable blocks, random weights, ReLU6."""
    draw = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    constants = [
        numpy_helper.from_array(np.array(bound, np.float32), name)
        for name, bound in (("low", 0), ("high", 6))
    ]

    def convolve(value: str, kernel: Array, *, stride: int = 1, groups: int = 1) -> str:
        name = f"conv_{len(nodes)}"
        pad = kernel.shape[-1] // 2
        constants.extend(
            (
                numpy_helper.from_array(kernel, f"{name}/weight"),
                numpy_helper.from_array(np.zeros(len(kernel), np.float32), f"{name}/bias"),
            )
        )
        nodes.append(
            helper.make_node(
                "Conv",
                [value, f"{name}/weight", f"{name}/bias"],
                [name],
                kernel_shape=kernel.shape[2:],
                strides=[stride] * 2,
                pads=[pad] * 4,
                group=groups,
            )
        )
        nodes.append(helper.make_node("Clip", [name, "low", "high"], [f"{name}/relu6"]))
        return f"{name}/relu6"

    def kernel(out: int, into: int, side: int) -> Array:
        scale = (2 / (into * side * side)) ** 0.5
        return draw.normal(scale=scale, size=(out, into, side, side)).astype(np.float32)

    value, channels = convolve("image", kernel(_STEM, 3, 3), stride=2), _STEM
    for wider, stride in _BLOCKS:
        value = convolve(value, kernel(channels, 1, 3), stride=stride, groups=channels)
        value, channels = convolve(value, kernel(wider, channels, 1)), wider
    nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        nodes,
        "front",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, _SIDE, _SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", channels, "h", "w"])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
