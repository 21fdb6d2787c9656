"""TensorRT on a board that is not here: the source is made, the engine is built on the board."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.backends import operators, source_nodes
from edgedeploy.errors import UsageError
from edgedeploy.runtime import trt_build, trt_dialects
from edgedeploy.source_forms import SourceForm, trt_form
from edgedeploy.types import BuildSpec, Built, Precision, Steps, Target, no_steps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Board:
    """A backend whose artifacts have no engine yet; no vendor library is needed.

    ``Runtime.load(folder, rebuild=True)`` on the board makes the engine.
    """

    def __init__(self, target: Target) -> None:
        """Take the board's TensorRT from the board table.

        Raises:
            UnsupportedError: It is too old.
        """
        self._target = target
        self._dialect = trt_dialects.for_version(target.tensorrt)

    def version(self) -> str:
        """Return the version of TensorRT that the board's JetPack has."""
        return self._target.tensorrt

    def precisions(self) -> frozenset[Precision]:
        """Return what TensorRT builds; the board table says what the board runs."""
        return frozenset({Precision.FP32, Precision.FP16, Precision.INT8})

    def source_form(self, spec: BuildSpec) -> SourceForm:
        """Return what the board's TensorRT reads.

        Raises:
            UnsupportedError: It has no such INT8 mode, or drives no DLA.
        """
        return trt_form(self._dialect, spec.precision, self._int8_mode(spec))

    def candidates(self, spec: BuildSpec) -> tuple[BuildSpec, ...]:
        """Return ``spec``.

        Raises:
            UsageError: It is to be tuned, which only the GPU itself can tell.
        """
        if spec.trt.tune:
            raise UsageError(
                f"--tune times engines on the GPU, and {self._target.device} is not this machine",
                fix="leave --tune out, or build on the board",
            )
        return (spec,)

    def fits(self, runs_on: Mapping[str, object]) -> bool:
        """Return whether the artifact waits for the same TensorRT."""
        return runs_on.get("tensorrt") == self._target.tensorrt

    def build(
        self, source: Path, spec: BuildSpec, folder: Path, *, progress: Steps = no_steps
    ) -> Built:
        """Keep the source, and what belongs to it, for the board.

        Raises:
            BuildError: The board's TensorRT will not read it: an operator that it does not have,
                or uint8.
        """
        del progress  # it takes no time
        source_nodes.refuse_uint8(source)
        operators.refuse_unknown(source, self._dialect)
        files = [trt_build.SOURCE]
        (folder / trt_build.SOURCE).write_bytes(source.read_bytes())
        if self.source_form(spec).corrected:
            cache = source.with_name(trt_build.CACHE).read_bytes()
            (folder / trt_build.CACHE).write_bytes(cache)
            files.append(trt_build.CACHE)
        return Built(
            engine=trt_build.ENGINE,
            files=tuple(files),
            runs={},
            runs_on={
                "portable": False,
                "library": "tensorrt",
                "library_version": None,
                "gpu": None,
                "compute_capability": self._target.compute_capability,
                "device": self._target.device,
                "tensorrt": self._target.tensorrt,
            },
            int8_mode=self._int8_mode(spec) if spec.precision is Precision.INT8 else None,
        )

    def _int8_mode(self, spec: BuildSpec) -> str:
        dla = spec.trt.dla_core is not None
        return trt_dialects.int8_mode(self._dialect, spec.trt.int8_mode, dla=dla)
