"""TensorRT, or TensorRT-RTX: whichever built the artifact."""

import os
from typing import Any, Dict, Optional, Tuple

from . import cuda_memory, trt_api, trt_checks, trt_engine, trt_layers, trt_lean
from .cuda_device import Cuda
from .errors import ArtifactError, EdgeDeployError, UnsupportedError
from .manifest import Manifest
from .session import Session
from .trt_session import TrtSession

__all__ = ["TrtSession", "load", "open_session", "version"]

_SWITCHED_OFF = "it was switched off"
_OF_ITS_OWN = "TensorRT-RTX captures its own"
_MIB = 1 << 20
_FREE_MEMORY = (
    "end what else uses the GPU, on a Jetson also what else uses memory; or build it again with a "
    "smaller --batch"
)


def version() -> str:
    """Return the version of TensorRT, or of TensorRT-RTX.

    Raises:
        MissingDependencyError: Neither is installed.
    """
    return str(trt_api.library().__version__)


def load(
    folder: str,
    manifest: Manifest,
    threads: int,
    device: Optional[str] = None,
    *,
    graphs: bool = True,
) -> Session:
    """Load an artifact's engine on GPU 0; see `edgedeploy.runtime.session`.

    Args:
        folder: The artifact.
        manifest: Of it.
        threads: Ignored; the GPU does the work.
        device: Must be None.
        graphs: Whether inferences may be replayed from CUDA graphs.

    Raises:
        MissingDependencyError: The library that built it is not installed.
        UnsupportedError: There is no GPU here, it has no memory left, or a device was asked for.
        ArtifactError: It has no engine yet, or one of another version or for another GPU, or is
            damaged.
    """
    del threads
    if device is not None:
        raise UnsupportedError(
            f"device {device!r} was asked for, backend 'trt' runs on the first NVIDIA GPU",
            fix="leave device out; choose a GPU with the variable CUDA_VISIBLE_DEVICES",
        )
    trt_checks.check_built(folder, manifest)
    built_by = str(manifest.runs_on.get("library"))
    trt = trt_api.library(built_by if trt_api.installed(built_by) else None)
    trt_checks.check_library(folder, manifest, trt.__name__, str(trt.__version__))
    return open_session(trt, cuda_memory.open_gpu(), folder, manifest, graphs=graphs)


def open_session(
    trt: Any, cuda: Cuda, folder: str, manifest: Manifest, *, graphs: bool = True
) -> TrtSession:
    """Load an artifact's engine with this library on this GPU.

    Raises:
        UnsupportedError: TensorRT does not start, or has no memory for the engine.
        ArtifactError: It was built for another GPU, or is damaged.
    """
    trt_checks.check_gpu(folder, manifest, cuda.gpu)
    log = trt_api.logger(trt)
    engine, owners = deserialize(trt, log, folder, manifest)
    needed = trt_engine.memory_bytes(engine)
    context, own_graphs = _context(trt, engine, graphs=graphs)
    if context is None:
        free, total = cuda.memory()
        raise UnsupportedError(
            f"{folder} loads, but TensorRT cannot run it: it works in {needed / _MIB:.1f} MiB, "
            f"{free // _MIB} of {total // _MIB} MiB are free: {trt_api.said(log)}",
            fix=_FREE_MEMORY,
        )
    described: Dict[str, Any] = {
        "library": trt_api.describe(trt),
        "device": cuda.gpu.name,
        "threads": None,
        "compute_capability": cuda.gpu.compute_capability,
        "cuda": cuda.package,
        "memory_bytes": needed,
    }
    wrapped = trt_engine.wrap(engine, context)
    wrapped.owners = owners
    no_graphs = _OF_ITS_OWN if own_graphs else None if graphs else _SWITCHED_OFF
    session = TrtSession(
        wrapped,
        cuda,
        described,
        no_graphs=no_graphs,
        said=lambda: trt_api.said(log),
        profiler=None if own_graphs else lambda: trt_layers.make_profiler(trt),
    )
    if own_graphs:
        session.described["cuda_graph"] = {"used": True, "reason": _OF_ITS_OWN}
    return session


def deserialize(trt: Any, log: Any, folder: str, manifest: Manifest) -> Tuple[Any, Tuple[Any, ...]]:
    """Return the engine and what must outlive it; code that a file carries is never run.

    Raises:
        ArtifactError: TensorRT does not take the file; the problem says why.
        UnsupportedError: TensorRT does not start on this machine, or has no memory for the engine.
    """
    path = os.path.join(folder, manifest.engine)
    fix = trt_checks.rebuild_fix(folder, manifest)
    try:
        with open(path, "rb") as file:
            plan = file.read()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}", fix=fix) from error
    owners = [trt_api.make_runtime(trt, log)]
    built = str(manifest.runs_on.get("library_version"))
    if manifest.runs_on.get("version_compatible") and built != str(trt.__version__):
        owners.append(trt_lean.load(owners[0], built, folder, fix))
        owners[-1].engine_host_code_allowed = False
    core = manifest.runs_on.get("dla_core")
    if core is not None:
        _use_dla(owners[-1], int(core), folder, fix)
    engine = owners[-1].deserialize_cuda_engine(plan)
    if engine is None:
        raise _refused(f"{trt_api.describe(trt)} does not load {path}: {trt_api.said(log)}", fix)
    return engine, tuple(owners)


def _refused(problem: str, fix: str) -> EdgeDeployError:
    """Return the error for an engine that is not taken; one for want of memory is none of its."""
    # TensorRT writes it in one word, CUDA in three
    if "outofmemory" in problem.replace(" ", "").lower():
        return UnsupportedError(problem, fix=_FREE_MEMORY)
    return ArtifactError(problem, fix=fix)


def _use_dla(runtime: Any, core: int, folder: str, fix: str) -> None:
    if core >= runtime.num_DLA_cores:
        raise ArtifactError(
            f"{folder} was built for DLA core {core}, this machine has {runtime.num_DLA_cores}",
            fix=fix,
        )
    runtime.DLA_core = core


def _context(trt: Any, engine: Any, *, graphs: bool) -> Tuple[Any, bool]:
    """Return an execution context, and whether TensorRT captures graphs itself.

    TensorRT-RTX does, because it goes on compiling while it runs: a graph of ours would hold what
    it had compiled by then.
    """
    if not graphs or not hasattr(engine, "create_runtime_config"):
        return engine.create_execution_context(), False
    config = engine.create_runtime_config()
    if not hasattr(config, "cuda_graph_strategy"):
        return engine.create_execution_context(), False
    config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    return engine.create_execution_context(config), True
