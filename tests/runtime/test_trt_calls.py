"""Every call of TensorRT that the code makes, against the signatures in NVIDIA's own bindings.

pybind11 writes the signature of each overload into the method's help. The packages of type stubs
that there are (tensorrt-stubs 10.8 to 10.13) are no Python that mypy reads, and would make the
package ``tensorrt`` seem installed where it is not; the bindings themselves say the same.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.runtime import vendor_names
from tests.runtime.real_tensorrt import FULL, Surface, surface
from tests.runtime.tensorrt_spans import NAMES
from tests.runtime.vendor_names import Call

# What a variable of this name holds, in the modules that touch TensorRT.
HOLDS = {
    "builder": ("Builder",),
    "config": ("IBuilderConfig", "IRuntimeConfig"),
    "context": ("IExecutionContext",),
    "engine": ("ICudaEngine",),
    "inspector": ("EngineInspector",),
    "layer": ("ILayer",),
    "network": ("INetworkDefinition",),
    "parser": ("OnnxParser",),
    "profile": ("IOptimizationProfile",),
    "runtime": ("Runtime",),
}
# Of `trt_engine.BoundEngine`, which a variable called engine holds too.
OURS = {"engine.attach", "engine.enqueue", "engine.largest", "engine.row", "engine.set_shape",
        "engine.smallest"}  # fmt: skip

# Calls that the code makes only where the library has a name.
GUARDED = {("create_execution_context", 1): "ICudaEngine.create_runtime_config"}


class Signature(NamedTuple):
    """Parameters of an overload without ``self``, and how many of them have no default."""

    parameters: tuple[str, ...]
    needed: int

    def takes(self, call: Call) -> bool:
        """Return whether Python would accept the call."""
        if call.starred:
            return True
        by_name = set(call.keywords)
        return (
            call.given <= len(self.parameters)
            and by_name <= set(self.parameters[call.given :])
            and set(self.parameters[call.given : self.needed]) <= by_name
        )


def signature(line: str) -> Signature:
    """Read pybind11's line, e.g. ``combine(self: A, other: B, flag: bool = False) -> bool``."""
    inside, depth, parts = line.partition("(")[2], 0, [""]
    for letter in inside:
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    parameters = parts[1:]
    needed = [part for part in parameters if "=" not in part]
    return Signature(tuple(part.partition(":")[0].strip() for part in parameters), len(needed))


@pytest.fixture(scope="module")
def used() -> vendor_names.Used:
    return vendor_names.used(vendor_names.modules())


def test_what_a_variable_holds_has_what_is_taken_of_it(used: vendor_names.Used) -> None:
    wrong = {}
    for name, places in used.variables.items():
        variable, _, attribute = name.partition(".")
        listed = {known for owner in HOLDS.get(variable, ()) for known in NAMES[owner]}
        if variable in HOLDS and attribute not in listed and name not in OURS:
            wrong[name] = places
    assert wrong == {}, "list it in tensorrt_names.json under what it is taken of"


@pytest.mark.parametrize("version", [*FULL, "rtx"])
def test_calls_fit_the_signatures_of_the_version(version: str, used: vendor_names.Used) -> None:
    found = surface(version)
    checked = 0
    for call in used.calls:
        guard = GUARDED.get((call.name, call.given))
        if guard and not found.has(guard):
            continue
        signatures = [signature(line) for line in _lines(found, call.name)]
        checked += bool(signatures)
        if signatures:
            assert any(known.takes(call) for known in signatures), (call, signatures)
    assert checked > 20


def _lines(found: Surface, name: str) -> list[str]:
    if name in NAMES:
        return found.help.get(f"{name}.__init__", [])
    owners = [owner for owner, names in NAMES.items() if name in names]
    return [line for owner in owners for line in found.help.get(f"{owner}.{name}", [])]


def test_signatures_are_read_as_pybind11_writes_them() -> None:
    line = "2. f(self: a.B, x: List[Tuple[int, str]], y: str = None, z: int = 1) -> Dict[str, int]"
    assert signature(line) == Signature(("x", "y", "z"), 1)
    assert signature("f(self: a.B) -> None") == Signature((), 0)


@pytest.mark.parametrize(
    ("given", "keywords", "fits"),
    [(1, (), True), (3, (), True), (0, (), False), (4, (), False), (1, ("z",), True),
     (0, ("x",), True), (1, ("x",), False), (1, ("w",), False)],
)  # fmt: skip
def test_a_call_that_does_not_fit_is_told(
    given: int, keywords: tuple[str, ...], fits: object
) -> None:
    known = Signature(("x", "y", "z"), 1)
    assert known.takes(Call("f", given, keywords, starred=False, place="")) is fits
