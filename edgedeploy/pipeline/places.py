"""Where things lie by default, and what becomes of those of a sweep that fail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgedeploy.errors import EdgeDeployError, MissingDependencyError, UnsupportedError
from edgedeploy.runtime import manifest as manifests

if TYPE_CHECKING:
    from collections.abc import Sequence


# An artifact that is whole, but not for this machine: a sweep goes on without it.
NOT_HERE = (UnsupportedError, MissingDependencyError)
MODELS, CALIBRATIONS = Path("models"), Path("calib")
SHIPPED_ACCURACY = MODELS / "accuracy.json"
ARTIFACTS, PROFILES = Path("build"), Path("profiles")


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with one of several things; the others went on.

    Attributes:
        subject: What was being made, e.g. ``"mobilenet_v1_0.25_112 for trt int8"``.
        error: Why it was not.
    """

    subject: str
    error: EdgeDeployError


def sweep_code(failures: Sequence[Failure]) -> int:
    """Return a sweep's exit code: 0 if all that failed is not meant for this machine."""
    return next((f.error.exit_code for f in failures if not isinstance(f.error, NOT_HERE)), 0)


def is_sweep(paths: Sequence[Path]) -> bool:
    """Return whether folders are to be searched, so that what does not run here is skipped."""
    return not any((path / manifests.MANIFEST).is_file() for path in paths)
