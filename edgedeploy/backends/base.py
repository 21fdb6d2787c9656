"""What a backend is: a module with six functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edgedeploy.types import no_steps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedeploy.source_forms import SourceForm
    from edgedeploy.types import BuildSpec, Built, Precision, Steps


class Backend(Protocol):
    """The interface that each module in `edgedeploy.backends` offers (PEP 544 allows modules)."""

    def version(self) -> str:
        """Return the version of the vendor's library."""
        ...

    def precisions(self) -> frozenset[Precision]:
        """Return what `build` accepts."""
        ...

    def source_form(self, spec: BuildSpec) -> SourceForm:
        """Return how the source of a build must look.

        Raises:
            UnsupportedError: The library that is here does not build this.
        """
        ...

    def candidates(self, spec: BuildSpec) -> tuple[BuildSpec, ...]:
        """Return what to build for ``spec``; of several, the one that `Built` says is fastest."""
        ...

    def fits(self, runs_on: Mapping[str, object]) -> bool:
        """Return whether an artifact that is bound to ``runs_on`` is for this machine."""
        ...

    def build(
        self, source: Path, spec: BuildSpec, folder: Path, *, progress: Steps = no_steps
    ) -> Built:
        """Compile ``source``, an ONNX file already prepared for ``spec``, into files in ``folder``.

        The source has the form of `source_form`; where that is corrected, the calibration cache
        lies beside it, under the name `trt_build.CACHE`. Height and width are fixed where they
        are known, N is dynamic. ``folder`` exists, is empty, and is thrown away if this raises.
        ``progress`` is told what the vendor tells of a long build.

        Raises:
            BuildError: The vendor's compiler refused the model.
        """
        ...
