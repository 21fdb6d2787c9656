"""Building a TensorRT engine from ONNX, with whichever TensorRT is here; on boards too."""

import contextlib
import os
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from . import (
    cuda_memory,
    trt_api,
    trt_calibrator,
    trt_config,
    trt_dialects,
    trt_inspect,
    trt_network,
    trt_progress,
    trt_timing_cache,
)
from .cuda_memory import Gpu
from .errors import BuildError, FileError, UsageError
from .trt_options import TrtOptions, check

# What an artifact's files are called.
ENGINE = "model.engine"
SOURCE = "source.onnx"
CACHE = "calibration.cache"
LOG = "build.log"
_DEFAULTS = TrtOptions()


class BuildReport(NamedTuple):
    """What an engine was made by, and for.

    Attributes:
        library: ``"tensorrt"`` or ``"tensorrt_rtx"``.
        version: Of the library.
        gpu: Name of the GPU that the engine is bound to; None where it is not bound to one.
        compute_capability: Of that GPU, e.g. ``"8.7"``.
        runs: Convolutions and matrix products by type, as the engine reports them; empty without
            a GPU to load it on.
        floats: Names of those that run in a float type.
        log: TensorRT's warnings and our notes, one a line; also in ``build.log`` beside the engine.
        files: Names of the files written, the engine first.
        int8_mode: How INT8 was said; None of everything else.
        gpu_fallback: Layers that the DLA does not run, by name; empty where there is no DLA.
        options: What else was asked.
    """

    library: str
    version: str
    gpu: Optional[str]
    compute_capability: Optional[str]
    runs: Dict[str, int]
    floats: Tuple[str, ...]
    log: str
    files: Tuple[str, ...]
    int8_mode: Optional[str] = None
    gpu_fallback: Tuple[str, ...] = ()
    options: TrtOptions = _DEFAULTS

    @property
    def runs_on(self) -> Dict[str, Any]:
        """What the engine is bound to, as the manifest holds it."""
        return {
            "portable": False,
            "library": self.library,
            "library_version": self.version,
            "gpu": self.gpu,
            "compute_capability": self.compute_capability,
            "version_compatible": self.options.version_compatible,
            "hardware_compatible": self.options.hardware_compatible,
            "dla_core": self.options.dla_core,
        }


def build_engine(
    source: str,
    engine: str,
    *,
    precision: str,
    options: TrtOptions = _DEFAULTS,
    int8_mode: Optional[str] = None,
    cache: Optional[str] = None,
    timing_cache: Optional[str] = None,
    progress: Optional[trt_progress.Progress] = None,
    trt: Any = None,
    find_gpu: Callable[[], Optional[Gpu]] = cuda_memory.find_gpu,
) -> BuildReport:
    """Compile an ONNX file into an engine file. One build at a time in a process.

    Args:
        source: ONNX file with one input ``(N, 3, H, W)`` whose height and width are fixed, in the
            form that `edgedeploy.source_forms.trt_form` says.
        engine: File to write; it appears whole or not at all. TensorRT's warnings, if it has any,
            go to ``build.log`` beside it.
        precision: ``fp32``, ``fp16`` or ``int8``.
        options: What else is asked.
        int8_mode: ``implicit``, ``qdq`` or ``typed``; None: as ``options`` say. Ignored but for
            INT8.
        cache: Calibration cache, for implicit INT8.
        timing_cache: Folder of what earlier builds have timed; None: everything is timed.
        progress: Called with a phase's name, the steps done and their number, where the library
            reports them.
        trt: TensorRT's Python package; None takes the first that is installed.
        find_gpu: Returns the GPU that it will build for, or None.

    Raises:
        BuildError: TensorRT refused the model; the problem carries its reasons.
        UnsupportedError: This TensorRT cannot build this on this machine.
        UsageError: The options contradict each other, or implicit INT8 has no cache.
        FileError: A file cannot be read, or ``engine`` cannot be written.
        MissingDependencyError: There is no TensorRT.
        KeyboardInterrupt: Ctrl-C; nothing is written.
    """
    check(options)
    trt = trt or trt_api.library()
    how = trt_config.typing(trt, precision, options, int8_mode)
    ranges = _ranges(trt, how.int8_mode, cache)
    gpu = find_gpu()
    log = trt_api.logger(trt)
    log.lines.clear()
    tools = _Tools(trt, log, trt_api.make_builder(trt, log, has_gpu=gpu is not None))
    if precision == "int8":
        trt_config.check_int8(trt, tools.builder)
    job = _prepare(tools, source, options, how, ranges)
    timings = _timings(tools, job.config, timing_cache, gpu)
    watch = trt_progress.watched(trt, job.config, progress)
    with timings, watch:
        plan = tools.builder.build_serialized_network(job.network, job.config)
    if job.calibrator is not None:
        trt_calibrator.check_taken(job.calibrator, trt_api.said(log))
    if plan is None:
        raise BuildError(
            f"{trt_api.describe(trt)} built no engine from {os.path.basename(source)}: "
            f"{trt_api.said(log)}",
            fix=_why_none(options),
        )
    warnings = trt_api.summary(log)
    layers: List[Tuple[str, str]] = []
    if gpu is not None:
        layers = trt_inspect.running_layers(trt, log, plan, job.best, options.dla_core)
    # TensorRT-RTX's runs on every GPU from Ampere on: it finishes compiling when it is loaded
    bound = gpu if trt.__name__ == "tensorrt" else None
    return BuildReport(
        library=trt.__name__,
        version=str(trt.__version__),
        gpu=bound.name if bound else None,
        compute_capability=bound.compute_capability if bound else None,
        runs=trt_inspect.count(layers),
        floats=tuple(name for name, kind in layers if kind != "int8") if layers else job.lacking,
        log=warnings,
        files=_keep(engine, plan, warnings),
        int8_mode=how.int8_mode,
        gpu_fallback=job.gpu_fallback,
        options=options,
    )


def _ranges(trt: Any, int8_mode: Optional[str], cache: Optional[str]) -> Optional[bytes]:
    """Return the calibration cache as this TensorRT would have written it; None but for implicit.

    Raises:
        UsageError: It is needed, and was not given.
        FileError: It cannot be read.
    """
    if int8_mode != "implicit":
        return None
    if cache is None:
        raise UsageError(
            "int8 in the mode 'implicit' was asked, without the calibration cache that it needs",
            fix="build it from the model: edgedeploy build MODEL --backend trt --int8",
        )
    return trt_calibrator.for_library(trt_calibrator.read(cache), str(trt.__version__))


class _Tools(NamedTuple):
    """TensorRT's package, its logger, and its builder."""

    trt: Any
    log: Any
    builder: Any


class _Job(NamedTuple):
    """A network that is ready to be compiled.

    Attributes:
        parser: It owns the network's weights and must outlive the build.
        best: Input shape to compile for.
        calibrator: Offers the ranges of implicit INT8, and must outlive the build; None elsewhere.
        lacking: Convolutions that a calibration cache has no range for.
        gpu_fallback: Layers that the DLA does not run.
    """

    network: Any
    parser: Any
    config: Any
    best: Tuple[int, ...]
    calibrator: Any = None
    lacking: Tuple[str, ...] = ()
    gpu_fallback: Tuple[str, ...] = ()


def _prepare(
    tools: _Tools,
    source: str,
    options: TrtOptions,
    how: trt_config.Typing,
    ranges: Optional[bytes],
) -> _Job:
    trt, log, builder = tools
    network, parser = trt_network.parse(trt, builder, log, source, typed=how.typed)
    config = trt_config.make(trt, builder, options, how.flags)
    best = trt_network.add_profile(builder, network, config, options.batch)
    trt_network.check_types(trt, network, how, source)
    job = _Job(network, parser, config, best)
    if ranges is not None:
        lacking = trt_calibrator.lacking(trt, network, ranges)
        if lacking:
            trt_api.note(log, "no range, so they run in float: " + ", ".join(lacking))
        profile = trt_network.calibration_profile(builder, network, best)
        calibrator = trt_calibrator.attach(trt, config, ranges, profile)
        job = job._replace(calibrator=calibrator, lacking=lacking)
    if options.dla_core is not None:
        fallback = trt_config.use_dla(trt, builder, config, network, options.dla_core)
        if fallback:
            trt_api.note(log, "on the GPU, the DLA does not run them: " + ", ".join(fallback))
        job = job._replace(gpu_fallback=fallback)
    return job


@contextlib.contextmanager
def _timings(
    tools: _Tools, config: Any, folder: Optional[str], gpu: Optional[Gpu]
) -> Iterator[None]:
    """Use what earlier builds have timed in the build of this block, and keep what it times."""
    if folder is None or gpu is None or not trt_dialects.of(tools.trt).times_kernels:
        yield
        return
    path = trt_timing_cache.place(folder, tools.trt, gpu)
    trt_timing_cache.load(config, tools.log, path)
    yield
    trt_timing_cache.save(config, tools.log, path)


def _why_none(options: TrtOptions) -> str:
    fix = (
        f"if it ran out of memory, free some, or give more than --workspace-mb "
        f"{options.workspace_mb}; else change the layers it names"
    )
    if options.hardware_compatible is not None:
        fix += "; on a Jetson leave --hardware-compatible out, TensorRT does not offer it there"
    return fix


def _keep(engine: str, plan: Any, warnings: str) -> Tuple[str, ...]:
    """Write the log, if there is one, then the engine; return their names, the engine first."""
    log = os.path.join(os.path.dirname(engine), LOG)
    if warnings:
        write(log, (warnings + "\n").encode("utf-8"))
    elif os.path.exists(log):
        os.remove(log)  # of the build before
    write(engine, memoryview(plan))
    names = (os.path.basename(engine), LOG)
    return names if warnings else names[:1]


def write(path: str, data: Any) -> None:
    """Write a file in one step, by renaming.

    Raises:
        FileError: The folder cannot be written to, or the disk is full; ``path`` is as before.
    """
    part = path + ".part"
    try:
        try:
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            if os.path.exists(part):
                os.remove(part)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written: {error.strerror}",
            fix="free space there, make the folder writable, or choose another with -o",
        ) from error
