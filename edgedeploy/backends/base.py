"""What a backend is: a module with three functions and one constant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from edgedeploy.types import Built, BuildSpec, Precision, QdqStyle


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

    def build(self, source: Path, spec: BuildSpec, folder: Path) -> Built:
        """Compile ``source``, an ONNX file already prepared for ``spec``, into files in ``folder``.

        For INT8 the source carries Q/DQ nodes in `QDQ_STYLE`; for FP16 it is float32 and the
        backend converts. ``folder`` exists, is empty, and is thrown away if this raises.

        Raises:
            BuildError: The vendor's compiler refused the model.
        """
        ...
