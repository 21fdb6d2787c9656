"""What a backend is: a module with four functions and one constant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import BuildSpec, Built, Precision, QdqStyle


class Backend(Protocol):
    """The interface that each module in `edgedeploy.backends` offers (PEP 544 allows modules)."""

    @property
    def QDQ_STYLE(self) -> QdqStyle:  # noqa: N802 -- a module constant
        """How an INT8 source is quantised for this backend."""
        ...

    def version(self) -> str:
        """Return the version of the vendor's library."""
        ...

    def precisions(self) -> frozenset[Precision]:
        """Return what `build` accepts."""
        ...

    def float16_source(self) -> bool:
        """Return whether an FP16 build wants a float16 graph, rather than converting float32."""
        ...

    def build(self, source: Path, spec: BuildSpec, folder: Path) -> Built:
        """Compile ``source``, an ONNX file already prepared for ``spec``, into files in ``folder``.

        For INT8 the source carries Q/DQ nodes in `QDQ_STYLE`; for FP16 it is float16 inside, with
        a float32 input and output, if `float16_source` says so. Its height and width are fixed
        where they are known, N is dynamic. ``folder`` exists, is empty, and is thrown away if
        this raises.

        Raises:
            BuildError: The vendor's compiler refused the model.
        """
        ...
