"""The commands under one name, and the one place that turns an error into an exit code."""

from __future__ import annotations

import errno
import io
import logging
import os
import shlex
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from edgedeploy import __version__
from edgedeploy.cli import (
    analyses,
    building,
    calibrations,
    converting,
    deciding,
    deploying,
    machines,
    making,
    measuring,
    parsing,
    training,
    trtexec,
)
from edgedeploy.cli.output import (
    INTERRUPTED,
    TERMINATED,
    TerminatedError,
    interruption,
    print_error,
    wants_json,
)
from edgedeploy.errors import EdgeDeployError, EdgeDeployWarning, UsageError
from edgedeploy.files import not_read, not_written

if TYPE_CHECKING:
    from collections.abc import Sequence

# Typer carries its own copy of click since 0.20; what it raises can be named through this class.
_PARSE_ERROR = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[2])

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

app = typer.Typer(
    name="edgedeploy",
    help="From a trained MobileNet to the best engine for the device at hand, with measured proof.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
training.register(app)
making.register(app)
converting.register(app)
analyses.register(app)
building.register(app)
calibrations.register(app)
deploying.register(app)
measuring.register(app)
deciding.register(app)
machines.register(app)
trtexec.register(app)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Log what is chosen, and why.")
    ] = False,
) -> None:
    if version:
        print(f"edgedeploy {__version__}")
        raise typer.Exit
    where = "%(name)s: " if verbose else "edgedeploy: warning: "
    logging.basicConfig(format=where + "%(message)s", stream=sys.stderr)
    logging.getLogger("edgedeploy").setLevel(logging.INFO if verbose else logging.WARNING)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code (the table in `edgedeploy.runtime.errors`)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without α still gets its table
    warnings.formatwarning = _format_warning
    code = run(sys.argv[1:] if argv is None else argv)
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # the reader, such as head, has seen enough
            code = print_error(not_written(Path("the output"), error), as_json=False)
    if code == TERMINATED:  # so that who sent the signal sees that it has ended this process
        os.kill(os.getpid(), signal.SIGTERM)
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    as_json = wants_json(argv)
    try:
        _require_words(argv)
        code = app(args=list(argv), prog_name="edgedeploy", standalone_mode=False)
    except EdgeDeployError as error:
        return print_error(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except TerminatedError:
        return _interrupted(TERMINATED, as_json=as_json)
    except OSError as error:
        return _refused(error, as_json=as_json)
    except _PARSE_ERROR as error:
        if not error.format_message():  # no command: the help has been printed
            return UsageError.exit_code
        return print_error(parsing.refusal(error, _command(argv)), as_json=as_json)
    if code == INTERRUPTED:  # some releases of Typer turn Ctrl-C into this code themselves
        return _interrupted(INTERRUPTED, as_json=as_json)
    return code if isinstance(code, int) else 0


def _refused(error: OSError, *, as_json: bool) -> int:
    """Say what the system refused; what was neither a path nor the output is raised again."""
    if error.filename is not None:
        return print_error(not_read(error), as_json=as_json)
    if not isinstance(error, BrokenPipeError) and error.errno not in _NO_ROOM:
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # the reader, such as head, has seen enough
        return 0
    return print_error(not_written(Path("the output"), error), as_json=False)


def _interrupted(code: int, *, as_json: bool) -> int:
    if as_json:
        return print_error(interruption(code), as_json=True)
    print("\nedgedeploy: interrupted; nothing half-written was left", file=sys.stderr)
    return code


def _require_words(argv: Sequence[str]) -> None:
    """Refuse an empty argument: as a path it would mean the folder that one is in.

    Raises:
        UsageError: There is one.
    """
    if "" in argv:
        raise UsageError(
            f"argument {argv.index('') + 1} is empty: {shlex.join(['edgedeploy', *argv])}",
            fix="leave it out, or write what is meant: a shell variable may not be set",
        )


def _format_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Return a warning of ours without the line of code that it came from."""
    del line
    where = "edgedeploy" if issubclass(category, EdgeDeployWarning) else f"{filename}:{lineno}"
    return f"{where}: warning: {message}\n"


def _command(argv: Sequence[str]) -> str:
    """Return the command that was meant, with a space behind it, or nothing."""
    commands = _names(app)
    for position, word in enumerate(argv):
        if word in commands:
            return f"{word} "
        for group in app.registered_groups:
            inner = group.typer_instance
            if inner is not None and inner.info.name == word:
                names = [found for found in argv[position + 1 :] if found in _names(inner)][:1]
                return f"{' '.join([word, *names])} "
    return ""


def _names(group: typer.Typer) -> set[str]:
    """Return what a group's commands are called; one without a name has its function's."""
    return {
        command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        for command in group.registered_commands
    }
