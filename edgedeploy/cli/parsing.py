"""A command line that does not parse, said as every other error: both values, then the fix."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    import typer

_WANTED = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
}
"""What an option must be, by the kind of Pydantic's error; the braces name its limits."""

_CHOICE = re.compile(r"('.*') is not one of ('.*')")
_QUOTED = re.compile(r"'([^']*)'")


def refusal(error: typer.BadParameter, command: str) -> UsageError:
    """Return what is wrong with a command line, with the value that was given.

    Args:
        error: What Typer raised: of its kinds only a bad value has a parameter.
        command: What was typed before the options, with a space behind it, or nothing.
    """
    see = f"see edgedeploy {command}--help"
    message = error.format_message().rstrip(".")
    option = _option(error)
    if option is None:
        return UsageError(message[:1].lower() + message[1:], fix=see)
    choice = _CHOICE.search(error.message)
    if choice is not None:
        return _not_a_choice(option, choice.group(1).strip("'"), _QUOTED.findall(choice.group(2)))
    value, wanted = _number(error)
    if wanted is None:
        return UsageError(message[:1].lower() + message[1:], fix=see)
    return UsageError(f"{option} is {value!r}, it must be {wanted}", fix=f"pass {wanted}; {see}")


def _option(error: typer.BadParameter) -> str | None:
    """Return the longest name of the option whose value is refused; None where there is no such."""
    param = getattr(error, "param", None)
    if param is None or not error.message:  # without a message it is missing
        return None
    return max(param.opts, key=len, default=None)


def _not_a_choice(option: str, value: str, known: list[str]) -> UsageError:
    close = difflib.get_close_matches(value, known, n=1)
    names = ", ".join(known)
    return UsageError(
        f"{option} is {value!r}, it must be one of {names}",
        fix=f"did you mean {option} {close[0]}?" if close else f"pass one of: {names}",
    )


def _number(error: typer.BadParameter) -> tuple[str, str | None]:
    """Return what was typed, and what is wanted; None where the error is of no number.

    Since 0.29 Typer checks values with Pydantic, whose error is the cause of its own and does not
    say the value. Older releases check themselves, and their message says it.
    """
    errors = getattr(error.__cause__, "errors", None)
    if errors is None:
        return "", None
    found: dict[str, Any] = errors()[0]
    wanted = _WANTED.get(found["type"])
    return str(found["input"]), wanted and wanted.format(**found.get("ctx", {}))
