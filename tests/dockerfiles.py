"""Dockerfiles, read and acted out in a folder instead of in a container."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CONTINUED = re.compile(r"\\\n")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


class Instruction(NamedTuple):
    """One instruction: its name in capitals, and what follows on one line."""

    name: str
    text: str


def read(path: Path) -> list[Instruction]:
    """Return the instructions of a Dockerfile; comments are left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.lstrip().startswith("#"))
    found = []
    for line in _CONTINUED.sub("", text).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            found.append(Instruction(name.upper(), rest.strip()))
    return found


def copied(path: Path) -> list[str]:
    """Return what a Dockerfile copies out of the build's context."""
    return [source for name, text in read(path) if name == "COPY" for source in text.split()[:-1]]


def let_through(ignore: Path) -> set[str]:
    """Return what a ``.dockerignore`` that begins with ``*`` lets through.

    Raises:
        ValueError: It begins otherwise.
    """
    first, *rest = ignore.read_text(encoding="utf-8").split()
    if first != "*":
        raise ValueError(f"{ignore} begins with {first!r}, expected '*'")
    return {line[1:] for line in rest if line.startswith("!")}


class Container:
    """What a Dockerfile makes, in a folder.

    Attributes:
        root: The folder that stands for ``/``.
        variables: Those that ``ENV`` has set.
        workdir: As the Dockerfile says it, e.g. ``/data``.
        entry: ``ENTRYPOINT``, as a list.
        default: ``CMD``, as a list.
    """

    def __init__(self, root: Path, context: Path) -> None:
        self.root = root
        self.variables: dict[str, str] = {}
        self.workdir = "/"
        self.entry: list[str] = []
        self.default: list[str] = []
        self._context = context
        self._arguments: dict[str, str] = {}

    def follow(self, path: Path, run: Callable[[str, dict[str, str]], None]) -> None:
        """Act a Dockerfile out.

        Args:
            path: The Dockerfile.
            run: Gets each line of ``RUN`` with the places of the folder in it, and the build's
                variables. `here` is where it is to run.

        Raises:
            ValueError: There is an instruction that is not known here.
        """
        for name, text in read(path):
            if name == "RUN":
                run(self.placed(text), {**self._arguments, **self.variables})
            elif name in {"FROM", "USER"}:
                continue  # the machine's own Python, and the user who runs this
            else:
                getattr(self, f"_{name.lower()}", self._unknown)(text)

    @property
    def here(self) -> Path:
        """The folder that stands for the working directory."""
        return self.root / self.workdir.lstrip("/")

    def placed(self, text: str) -> str:
        """Return a text with absolute paths of the container moved into the folder."""
        tops = "|".join(["data", *sorted(item.name for item in self.root.iterdir())])
        return re.sub(rf"(?<![\w./])/(?=(?:{tops})\b)", f"{self.root}/", text)

    def _unknown(self, text: str) -> None:
        raise ValueError(f"an instruction that is not known here: {text!r}")

    def _arg(self, text: str) -> None:
        name, _, value = text.partition("=")
        self._arguments[name] = self._filled(value)

    def _env(self, text: str) -> None:
        for name, value in _pairs(self._filled(text)):
            self.variables[name] = value

    def _workdir(self, text: str) -> None:
        self.workdir = self._filled(text)
        self.here.mkdir(parents=True, exist_ok=True)

    def _copy(self, text: str) -> None:
        *sources, target = self._filled(text).split()
        where = self.here / target
        for source in sources:
            found = self._context / source
            if found.is_dir():
                shutil.copytree(found, where, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                where.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, where)

    def _entrypoint(self, text: str) -> None:
        self.entry = json.loads(text)

    def _cmd(self, text: str) -> None:
        self.default = json.loads(text)

    def _filled(self, text: str) -> str:
        known = {**self._arguments, **self.variables}
        return _VARIABLE.sub(lambda found: known.get(found[1] or found[2], ""), text)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for word in text.split():
        name, _, value = word.partition("=")
        yield name, value
