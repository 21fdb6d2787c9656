"""Every error edgedeploy raises on purpose, with the exit code the CLI gives it.

EdgeDeployError                              1
|-- UsageError (ValueError)                  2  the call or the config is wrong
|   |-- UnknownNameError                     2  nothing has that name
|   `-- TensorMismatchError                  2  an input does not fit the model
|-- MissingDependencyError (ImportError)     3  a package is not installed
|-- UnsupportedError                         4  this backend or device cannot do that
|   `-- WrongBoardError                      4  this is not the board that was asked for
|-- BuildError                               5  the vendor's compiler refused the model
|-- FileError                                6  a model, image, weight or calibration file is bad
|   `-- ArtifactError                        6  an artifact is stale, corrupt or foreign
`-- MeasurementError                         7  the numbers would not mean what they say

No error has 8: with it `edgedeploy compare` says that it cannot tell.
"""

import difflib
from typing import Iterable


class EdgeDeployError(Exception):
    """A failure with a known cause.

    Attributes:
        problem: What is wrong, with the values that show it.
        fix: What to do about it, as an imperative or a command to run.
    """

    exit_code = 1

    def __init__(self, problem: str, *, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem}\n  fix: {self.fix}"


class UsageError(EdgeDeployError, ValueError):
    """The call or the configuration is wrong."""

    exit_code = 2


class UnknownNameError(UsageError):
    """Nothing of that kind has that name."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1)
        super().__init__(
            f"no {kind} is called {name!r}",
            fix=f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(names)}",
        )


class TensorMismatchError(UsageError):
    """An input does not fit the model."""


class MissingDependencyError(EdgeDeployError, ImportError):
    """A package is not installed, or does not load."""

    exit_code = 3


class UnsupportedError(EdgeDeployError):
    """This backend or device cannot do that."""

    exit_code = 4


class WrongBoardError(UnsupportedError):
    """This machine is not the board that was asked for."""


class BuildError(EdgeDeployError):
    """The vendor's compiler refused the model."""

    exit_code = 5


class FileError(EdgeDeployError):
    """A model, image, weight, calibration or profile file is bad."""

    exit_code = 6


class ArtifactError(FileError):
    """An artifact is stale, corrupt or made for another machine."""


class MeasurementError(EdgeDeployError):
    """The numbers would not mean what they say."""

    exit_code = 7


class EdgeDeployWarning(UserWarning):
    """What was asked for is done, and its answers may be worse than on other machines."""


def no_numpy() -> MissingDependencyError:
    """Return the error of a Python without NumPy, which all that travels to boards needs."""
    return MissingDependencyError(
        "this Python has no NumPy",
        fix="on a Jetson: sudo apt-get install python3-numpy; elsewhere: pip install numpy",
    )
