"""Loading: from a path to a running session, with the story of how it was chosen."""

import importlib
import warnings
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from . import choosing, cpu, manifest
from .choosing import Candidate, PassedOver
from .errors import (
    ArtifactError,
    BuildError,
    EdgeDeployError,
    EdgeDeployWarning,
    FileError,
    MissingDependencyError,
    UnsupportedError,
    UsageError,
)
from .preprocessing import Preprocessing
from .session import Session

# What each vendor file imports, and how to get it.
_VENDORS = {
    "ort": ("onnxruntime", "pip install onnxruntime"),
    "openvino": ("openvino", "pip install openvino"),
    "trt": ("tensorrt", "on a Jetson install JetPack's TensorRT, else pip install tensorrt"),
}
_DOES_NOT_LOAD = (BuildError, FileError, MissingDependencyError, UnsupportedError)


class _How(NamedTuple):
    """How sessions are opened: CPU threads, the device asked for, and what TensorRT may do."""

    threads: int
    device: Optional[str]
    rebuild: bool
    cuda_graphs: bool


class Loaded(NamedTuple):
    """A session, and why it is this one.

    Attributes:
        candidate: The artifact, completed by what the caller knows of the model.
        session: Its engine, loaded.
        why: What decided, in words.
        passed_over: The artifacts beside it that were not taken.
        unmet: What it needs for right answers and this machine lacks, or None.
        rebuilt: Whether its engine was built on this machine just now.
    """

    candidate: Candidate
    session: Session
    why: str
    passed_over: Tuple[PassedOver, ...]
    unmet: Optional[str]
    rebuilt: bool = False


def load(
    path: str,
    backend: Optional[str],
    precision: Optional[str],
    threads: Optional[int],
    device: Optional[str],
    *,
    preprocessing: Optional[Preprocessing],
    labels: Optional[Sequence[str]],
    rebuild: bool = False,
    cuda_graphs: bool = True,
    cpuinfo: str = cpu.CPUINFO,
) -> Loaded:
    """Load the best artifact at or below ``path``; arguments and errors are `Runtime.load`'s.

    Warns:
        EdgeDeployWarning: It needs what this processor, described by ``cpuinfo``, does not have.
    """
    if threads is not None and threads < 1:
        raise UsageError(
            f"threads is {threads!r}, it must be 1 or more",
            fix="pass a number of CPU threads, or None for one per physical core",
        )
    found, passed_over = choosing.find(path)
    found = [_told(candidate, preprocessing, labels) for candidate in found]
    candidates = choosing.select(found, backend, precision)
    unmet = _unmet(candidates, device, cpuinfo)
    ranked = choosing.rank(candidates, unmet)
    asked = [word for word in (backend, precision) if word]
    failures: List[Tuple[Candidate, EdgeDeployError]] = []
    how = _How(threads or cpu.physical_cores(), device, rebuild, cuda_graphs)
    for place, (candidate, cost) in enumerate(ranked):
        try:
            opened, session = _open(candidate, how)
        except _DOES_NOT_LOAD as error:
            failures.append((candidate, error))
            continue
        passed_over += [PassedOver(c.folder, e.problem) for c, e in failures]
        passed_over += [
            PassedOver(c.folder, reason or f"ranks behind {candidate.name}")
            for c, reason in ranked[place + 1 :]
        ]
        why = _why(candidate, cost, asked, len(ranked), len(failures))
        lacking = unmet.get(candidate.folder)
        if lacking is not None:
            _warn(candidate, lacking)
        rebuilt = opened is not candidate
        return Loaded(opened, session, why, tuple(passed_over), lacking, rebuilt)
    raise _none_loads(path, failures)


def _told(
    candidate: Candidate, rule: Optional[Preprocessing], labels: Optional[Sequence[str]]
) -> Candidate:
    """Complete an artifact's manifest by what the caller knows of the model."""
    known = candidate.manifest
    if rule is not None and known.preprocessing not in (None, rule):
        raise UsageError(
            f"{candidate.folder} was built for {known.preprocessing}, {rule} was asked for",
            fix="leave the preprocessing out, or build the model again with the one that is right",
        )
    if rule is not None:
        known = known._replace(preprocessing=rule)
    if labels is not None:
        classes = known.output.shape[-1]
        if isinstance(labels, str) or (classes is not None and len(labels) != classes):
            raise UsageError(
                f"there are {len(labels)} labels for the {classes} classes of {known.model}",
                fix="pass a list with one name per output, in order",
            )
        known = known._replace(labels=tuple(labels))
    return candidate._replace(manifest=known)


def _unmet(candidates: Sequence[Candidate], device: Optional[str], cpuinfo: str) -> Dict[str, str]:
    """Return, by folder, what this processor lacks for right answers."""
    if not any(candidate.manifest.needs for candidate in candidates):
        return {}
    flags = cpu.x86_flags(cpuinfo)
    found = {c.folder: choosing.unmet_need(c.manifest, device, flags) for c in candidates}
    return {folder: reason for folder, reason in found.items() if reason is not None}


def _warn(candidate: Candidate, reason: str) -> None:
    known = candidate.manifest
    warnings.warn(
        f"{candidate.folder} may answer wrongly here: {reason}\n  fix: build it for every x86 CPU: "
        f"edgedeploy build {known.model}.onnx --backend {known.backend} --int8 --x86 any",
        EdgeDeployWarning,
        stacklevel=4,  # the caller of Runtime.load
    )


def _open(candidate: Candidate, how: _How) -> Tuple[Candidate, Session]:
    """Open an artifact's session; return with it the artifact, another one where it was rebuilt."""
    try:
        return candidate, _session(candidate, how)
    except ArtifactError as error:
        if not how.rebuild or candidate.manifest.backend != "trt":
            raise
        made = _rebuilt(candidate, error)
    return made, _session(made, how)


def _session(candidate: Candidate, how: _How) -> Session:
    known = candidate.manifest
    manifest.verify(candidate.folder, known)
    more = {"graphs": how.cuda_graphs} if known.backend == "trt" else {}
    session: Session = _vendor(known.backend).load(
        candidate.folder, known, how.threads, how.device, **more
    )
    return session


def _rebuilt(candidate: Candidate, refused: ArtifactError) -> Candidate:
    """Build a trt artifact's engine on this machine.

    Raises:
        ArtifactError: It holds nothing to build from.
        UnsupportedError: There is no GPU.
    """
    from . import (  # a machine that only runs engines does without the builder's side
        cuda_memory,
        trt_rebuild,
    )

    told = candidate.manifest
    if manifest.SOURCE not in [info.name for info in told.files]:
        raise ArtifactError(
            f"{refused.problem}; it cannot be rebuilt, for it has no {manifest.SOURCE}",
            fix=refused.fix,
        ) from refused
    cuda_memory.open_gpu()  # an engine that nothing here can run is not built
    known = trt_rebuild.rebuild(candidate.folder)
    complete = known._replace(preprocessing=told.preprocessing, labels=told.labels)
    return candidate._replace(manifest=complete)


def _vendor(backend: str) -> Any:
    """Import a backend's run side, and with it its vendor's library.

    Raises:
        ArtifactError: This version has no such backend.
        MissingDependencyError: The package is absent or does not load.
    """
    if backend not in _VENDORS:
        raise ArtifactError(
            f"the artifact is of backend {backend!r}, this version has: {', '.join(_VENDORS)}",
            fix="update edgedeploy, or build the model for one of these backends",
        )
    package, install = _VENDORS[backend]
    try:
        return importlib.import_module(f".{backend}", __package__)
    except MissingDependencyError:
        raise  # the vendor file knows better
    except ModuleNotFoundError as error:
        if error.name != package:
            raise MissingDependencyError(
                f"the package {package!r} is installed but does not load: {error}",
                fix=f"run: python -c 'import {package}', and repair what it reports",
            ) from error
        raise MissingDependencyError(
            f"the package {package!r} is not installed", fix=install
        ) from error
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"the package {package!r} is installed but does not load: {error}",
            fix=f"run: python -c 'import {package}', and repair what it reports",
        ) from error


def _why(
    candidate: Candidate, cost: Optional[str], asked: Sequence[str], count: int, failed: int
) -> str:
    if asked:
        why = f"{candidate.name}: {' '.join(asked)} was asked for"
    elif count == 1:
        why = f"{candidate.name}: the only artifact here"
    else:
        why = f"{candidate.name}: the best of {count} artifacts"
    if failed:
        why += f", after {failed} that did not load"
    return why if cost is None else f"{why}; but {cost}"


def _none_loads(
    path: str, failures: Sequence[Tuple[Candidate, EdgeDeployError]]
) -> EdgeDeployError:
    if len(failures) == 1:
        return failures[0][1]
    reasons = "; ".join(f"{c.name}: {error.problem}" for c, error in failures)
    return UnsupportedError(
        f"none of the {len(failures)} artifacts in {path} loads here: {reasons}",
        fix=failures[-1][1].fix,
    )
