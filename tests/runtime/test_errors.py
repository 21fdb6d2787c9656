from __future__ import annotations

import re

import pytest

from edgedeploy import errors
from edgedeploy.runtime import errors as runtime_errors


def family() -> dict[str, type[errors.EdgeDeployError]]:
    return {
        name: value
        for name, value in vars(runtime_errors).items()
        if isinstance(value, type) and issubclass(value, errors.EdgeDeployError)
    }


def test_the_table_at_the_top_lists_every_error_with_its_exit_code() -> None:
    table = dict(re.findall(r"(\w+Error)(?: \(\w+\))? +(\d)", runtime_errors.__doc__ or ""))
    assert table == {name: str(value.exit_code) for name, value in family().items()}


def test_the_toolkit_names_every_error_of_the_runtime() -> None:
    assert set(errors.__all__) == {*family(), "EdgeDeployWarning"}


def test_an_error_shows_its_problem_and_then_its_fix() -> None:
    error = errors.BuildError("the vendor said no", fix="say please")
    assert str(error) == "the vendor said no\n  fix: say please"
    assert (error.problem, error.fix) == ("the vendor said no", "say please")


def test_errors_are_caught_as_what_python_calls_them() -> None:
    assert issubclass(errors.UsageError, ValueError)
    assert issubclass(errors.MissingDependencyError, ImportError)


@pytest.mark.parametrize(
    ("name", "fix"),
    [("openvinno", "did you mean 'openvino'?"), ("x", "use one of: openvino, ort")],
)
def test_an_unknown_name_comes_with_a_close_one_or_with_all(name: str, fix: str) -> None:
    error = errors.UnknownNameError("backend", name, ["ort", "openvino"])
    assert error.problem == f"no backend is called {name!r}"
    assert error.fix == fix
