"""The toolkit's errors: those of the runtime, whose file has the table, under a shorter name."""

from __future__ import annotations

from edgedeploy.runtime.errors import (
    ArtifactError,
    BuildError,
    EdgeDeployError,
    EdgeDeployWarning,
    FileError,
    MeasurementError,
    MissingDependencyError,
    TensorMismatchError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
    WrongBoardError,
)

__all__ = [
    "ArtifactError",
    "BuildError",
    "EdgeDeployError",
    "EdgeDeployWarning",
    "FileError",
    "MeasurementError",
    "MissingDependencyError",
    "TensorMismatchError",
    "UnknownNameError",
    "UnsupportedError",
    "UsageError",
    "WrongBoardError",
]
