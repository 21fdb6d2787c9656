"""Which names our code takes from TensorRT, read from its syntax trees.

TensorRT's objects have no types of ours: they are the parameters and attributes annotated ``Any``,
what functions annotated ``Any`` return, and whatever is computed from these.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import edgedeploy

ROOT = Path(edgedeploy.__file__).parent
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.Lambda)


class Call(NamedTuple):
    """A call of something of TensorRT's.

    Attributes:
        name: Of the method, or of the class that is made.
        given: Positional arguments; those of a star count as one.
        keywords: Names of the others.
        starred: Whether there is a star.
        place: ``file:line``.
    """

    name: str
    given: int
    keywords: tuple[str, ...]
    starred: bool
    place: str


class Used(NamedTuple):
    """Names, each with the places (``file:line``) that use it.

    Attributes:
        taken: Attributes of TensorRT's objects, by attribute access, `hasattr` or `getattr`.
        chains: ``Owner.name`` where the code says both: ``trt.Owner.name``.
        top: ``X`` of ``trt.X``.
        attributes: Every attribute of anything, and every method that a subclass overrides.
        strings: Every string of one word.
        variables: Attributes of variables: ``engine.num_bindings`` and ``self._engine.…`` alike.
        defined: Names of our own: functions, methods, and attributes of classes and objects.
        calls: Calls of TensorRT's methods and classes.
    """

    taken: dict[str, list[str]]
    chains: dict[str, list[str]]
    top: dict[str, list[str]]
    attributes: dict[str, list[str]]
    strings: dict[str, list[str]]
    variables: dict[str, list[str]]
    defined: set[str]
    calls: list[Call]


def modules() -> list[Path]:
    """Return the modules that touch TensorRT: who is called ``trt…``, or imports `trt_api`."""
    return sorted(
        path
        for folder in ("backends", "runtime", "worker")
        for path in (ROOT / folder).rglob("*.py")
        if path.stem == "trt" or path.stem.startswith("trt_") or _imports_trt_api(path)
    )


def used(paths: list[Path]) -> Used:
    """Collect the names that these modules use."""
    return used_in({path: ast.parse(path.read_text(encoding="utf-8")) for path in paths})


def used_in(trees: dict[Path, ast.Module]) -> Used:
    """Collect the names that these syntax trees use; paths are those that the places tell."""
    makers = {name for tree in trees.values() for name in _makers(tree)}
    found = Used({}, {}, {}, {}, {}, {}, set(), [])
    for path, tree in trees.items():
        found.defined.update(_defined(tree))
        _collect(tree, path.relative_to(ROOT.parent).as_posix(), makers, found)
    return found


def _imports_trt_api(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(
        alias.name.rpartition(".")[2] == "trt_api"
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    )


def _says_any(annotation: ast.expr | None) -> bool:
    """Return whether it is ``Any``, or holds one as ``Optional[Any]`` does; no dictionary does."""
    if isinstance(annotation, ast.Name):
        return annotation.id == "Any"
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
        inside = annotation.slice
        parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        return annotation.value.id in {"Tuple", "Optional", "List"} and any(map(_says_any, parts))
    return False


def _makers(tree: ast.Module) -> set[str]:
    """Return the functions that return something of TensorRT's."""
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, _FUNCTIONS) and _says_any(node.returns)
    }


def _defined(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            found.add(node.name)
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                found.add(target.id)
            elif isinstance(target, ast.Attribute) and _key(target.value) == "self":
                found.add(target.attr)
    return found


def _collect(tree: ast.Module, where: str, makers: set[str], found: Used) -> None:
    theirs = _Theirs(tree, makers)
    for node in ast.walk(tree):
        place = f"{where}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Attribute):
            _collect_attribute(node, place, found, taken=theirs.holds(node.value))
        elif isinstance(node, _FUNCTIONS):
            _note(found.attributes, node.name, place)
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and node.value.isidentifier():
                _note(found.strings, node.value, place)
        elif isinstance(node, ast.Call):
            _collect_call(node, place, found, theirs)


def _collect_call(node: ast.Call, place: str, found: Used, theirs: _Theirs) -> None:
    name = _asked_by_name(node)
    if name and theirs.holds(node.args[0]):
        _note(found.taken, name, place)
        _note(found.variables, f"{_variable(node.args[0])}.{name}", place)
    if isinstance(node.func, ast.Attribute) and theirs.holds(node.func.value):
        keywords = tuple(keyword.arg for keyword in node.keywords if keyword.arg)
        starred = any(isinstance(argument, ast.Starred) for argument in node.args)
        call = Call(node.func.attr, len(node.args), keywords, starred, place)
        found.calls.append(call)


def _collect_attribute(node: ast.Attribute, place: str, found: Used, *, taken: bool) -> None:
    _note(found.attributes, node.attr, place)
    if taken:
        _note(found.taken, node.attr, place)
        _note(found.variables, f"{_variable(node.value)}.{node.attr}", place)
    chain = _chain(node)
    if chain and chain[0] == "trt":
        _note(found.top, chain[1], place)
        if len(chain) > 2:
            _note(found.chains, ".".join(chain[1:]), place)


def _note(names: dict[str, list[str]], name: str, place: str) -> None:
    names.setdefault(name, []).append(place)


def _asked_by_name(call: ast.Call) -> str | None:
    """Return ``x`` of ``hasattr(something, "x")`` and of ``getattr`` and ``setattr``."""
    if isinstance(call.func, ast.Name) and call.func.id in {"hasattr", "getattr", "setattr"}:
        name = call.args[1]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return name.value
    return None


def _variable(node: ast.expr) -> str:
    """Return ``engine`` of ``engine`` and of ``self._engine``; "" of anything longer."""
    chain = _chain(node)
    if len(chain) == 1 or (len(chain) == 2 and chain[0] == "self"):
        return chain[-1].lstrip("_")
    return ""


def _chain(node: ast.expr) -> list[str]:
    """Return ``["trt", "Owner", "name"]`` of ``trt.Owner.name``; empty if it starts otherwise."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        rest = _chain(node.value)
        return [*rest, node.attr] if rest else []
    return []


class _Theirs:
    """Knows which expressions of a module are TensorRT's objects.

    Names are held per module, not per function: one that is TensorRT's anywhere is so everywhere.
    That finds too much rather than too little.
    """

    def __init__(self, tree: ast.Module, makers: set[str]) -> None:
        self._makers = makers
        self._names = {"trt"} | _parameters(tree)
        count = -1
        while count != len(self._names):  # until nothing new comes
            count = len(self._names)
            for node in ast.walk(tree):
                self._learn(node)

    def holds(self, value: ast.expr) -> bool:
        """Return whether this is an object of TensorRT's."""
        if isinstance(value, (ast.Name, ast.Attribute)) and _key(value) in self._names:
            return True
        if isinstance(value, (ast.Attribute, ast.Subscript, ast.Starred, ast.Await)):
            return self.holds(value.value)
        if isinstance(value, ast.Call):
            return self._is_maker(value.func) or self.holds(value.func)
        if isinstance(value, (ast.ListComp, ast.GeneratorExp)):
            return self.holds(value.elt)
        if isinstance(value, ast.IfExp):
            return self.holds(value.body) or self.holds(value.orelse)
        if isinstance(value, ast.BoolOp):
            return any(map(self.holds, value.values))
        if isinstance(value, (ast.Tuple, ast.List)):
            return any(map(self.holds, value.elts))
        return False

    def _is_maker(self, function: ast.expr) -> bool:
        """Return whether it is ``f``, ``self.f`` or ``trt_….f`` of a function that returns Any."""
        *modules, name = _chain(function) or [""]
        ours = all(module == "self" or module.startswith("trt_") for module in modules)
        return ours and name in self._makers

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign) and self.holds(node.value):
            self._add(*node.targets)
        if isinstance(node, ast.AnnAssign) and (
            _says_any(node.annotation) or (node.value is not None and self.holds(node.value))
        ):
            self._add(node.target)
        if isinstance(node, (ast.For, ast.comprehension)) and self.holds(node.iter):
            self._add(node.target)
        if isinstance(node, ast.withitem) and self.holds(node.context_expr) and node.optional_vars:
            self._add(node.optional_vars)

    def _add(self, *targets: ast.expr) -> None:
        for target in targets:
            if isinstance(target, (ast.Tuple, ast.List)):
                self._add(*target.elts)
            elif isinstance(target, (ast.Name, ast.Attribute)):
                self._names.add(_key(target))


def _key(node: ast.expr) -> str:
    return ".".join(_chain(node)) or "?"


def _parameters(tree: ast.Module) -> set[str]:
    return {
        argument.arg
        for node in ast.walk(tree)
        if isinstance(node, _SCOPES)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if _says_any(argument.annotation)
    }
