"""The toolkit's errors: those of the runtime, under a shorter name. The table is in `runtime.errors`."""

from __future__ import annotations

from edgedeploy.runtime.errors import (
    ArtifactError,
    BuildError,
    EdgeDeployError,
    FileError,
    MeasurementError,
    MissingDependencyError,
    TensorMismatchError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)

__all__ = [
    "ArtifactError",
    "BuildError",
    "EdgeDeployError",
    "FileError",
    "MeasurementError",
    "MissingDependencyError",
    "TensorMismatchError",
    "UnknownNameError",
    "UnsupportedError",
    "UsageError",
]
