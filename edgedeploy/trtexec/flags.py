"""How each thing is said to trtexec, by the version of TensorRT that it came with."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgedeploy.errors import UnsupportedError, UsageError

Version = tuple[int, ...]


class Row(NamedTuple):
    """One spelling.

    Attributes:
        word: What is said; names of `spell`.
        spelling: The argument, ``{}`` where its value goes; empty where it is the default.
        first: The first version that takes it.
        before: The first version that does not; None while new ones do.
    """

    word: str
    spelling: str
    first: Version
    before: Version | None = None


# TensorRT 8.2 is the oldest that edgedeploy prepares for. What older ones want is left out:
# --explicitBatch has no effect where the model is an ONNX file.
# Read from samples/common/sampleOptions.cpp of NVIDIA/TensorRT 8.0, 8.4, 8.6, 10.13+ and 11, and
# from public logs of 8.2 and the help text of 10.5; 8.2 has been seen to take --nvtxMode=verbose.
TABLE = (
    # building
    Row("source", "--onnx={}", (8, 0)),
    Row("save", "--saveEngine={}", (8, 0)),
    Row("build only", "--buildOnly", (8, 0), (8, 6)),
    Row("build only", "--skipInference", (8, 6)),
    Row("workspace", "--workspace={}", (8, 0), (8, 4)),
    Row("workspace", "--memPoolSize=workspace:{}", (8, 4)),  # no unit: MiB, in every version
    Row("fp16", "--fp16", (8, 0), (11, 0)),
    Row("int8", "--int8", (8, 0), (11, 0)),
    Row("cache", "--calib={}", (8, 0), (11, 0)),
    Row("typed", "--stronglyTyped", (10, 0), (11, 0)),
    Row("typed", "", (11, 0)),  # every network is
    Row("no tf32", "--noTF32", (8, 0)),
    Row("detail", "--nvtxMode=verbose", (8, 0), (8, 4)),
    Row("detail", "--profilingVerbosity=detailed", (8, 4)),
    Row("smallest", "--minShapes={}", (8, 0)),
    Row("best", "--optShapes={}", (8, 0)),
    Row("largest", "--maxShapes={}", (8, 0)),
    Row("timing cache", "--timingCacheFile={}", (8, 0)),
    Row("optimisation level", "--builderOptimizationLevel={}", (8, 6)),
    Row("version-compatible", "--versionCompatible", (8, 6)),
    Row("no lean runtime", "--excludeLeanRuntime", (8, 6)),
    Row("ampere-plus", "--hardwareCompatibilityLevel=ampere+", (8, 6)),
    Row("same-compute-capability", "--hardwareCompatibilityLevel=sameComputeCapability", (10, 9)),
    Row("dla", "--useDLACore={}", (8, 0)),
    Row("gpu fallback", "--allowGPUFallback", (8, 0)),
    # measuring
    Row("load", "--loadEngine={}", (8, 0)),
    Row("shapes", "--shapes={}", (8, 0)),
    Row("warm-up", "--warmUp={}", (8, 0)),  # milliseconds
    Row("duration", "--duration={}", (8, 0)),  # seconds
    Row("iterations", "--iterations={}", (8, 0)),
    Row("averages", "--avgRuns={}", (8, 0)),
    Row("times", "--exportTimes={}", (8, 0)),
    # one query in flight; without it the next is queued before the last has ended
    Row("one by one", "--exposeDMA", (8, 0)),
    # 11 turned three defaults round: transfers off, spin-wait on, CUDA graph on
    Row("transfers", "", (8, 0), (11, 0)),
    Row("transfers", "--includeDataTransfers", (11, 0)),
    Row("spin", "--useSpinWait", (8, 0), (11, 0)),
    Row("spin", "", (11, 0)),
    Row("no spin", "", (8, 0), (11, 0)),
    Row("no spin", "--noSpinWait", (11, 0)),
    Row("graph", "--useCudaGraph", (8, 0), (11, 0)),
    Row("graph", "", (11, 0)),
    Row("no graph", "", (8, 0), (11, 0)),
    Row("no graph", "--noCudaGraph", (11, 0)),
)


def numbers(version: str) -> Version:
    """Return a version as numbers.

    Raises:
        UsageError: It is none.

    Example:
        >>> numbers("10.16.2")
        (10, 16, 2)
    """
    if not re.fullmatch(r"\d{1,4}(\.\d{1,4}){1,3}", version, re.ASCII):
        raise UsageError(
            f"{version!r} is no version of TensorRT",
            fix="write it as TensorRT does, e.g. --tensorrt 8.2.1",
        )
    return tuple(int(part) for part in version.split("."))


def spell(word: str, version: Version, value: object = "") -> tuple[str, ...]:
    """Return the argument that says ``word`` to trtexec; none where it is the default.

    Args:
        word: One of the table's.
        version: Of TensorRT.
        value: What to fill in.

    Raises:
        UnsupportedError: That version cannot be told.

    Example:
        >>> spell("workspace", (8, 2, 1), 256), spell("workspace", (10, 3, 0), 256)
        (('--workspace=256',), ('--memPoolSize=workspace:256',))
    """
    rows = [row for row in TABLE if row.word == word]
    for row in rows:
        if row.first <= version and (row.before is None or version < row.before):
            return (row.spelling.format(value),) if row.spelling else ()
    known = " and ".join(
        f"{row.spelling.format('…')} from {_dotted(row.first)}"
        + (f" to before {_dotted(row.before)}" if row.before else "")
        for row in rows
        if row.spelling
    )
    raise UnsupportedError(
        f"trtexec of TensorRT {_dotted(version)} cannot be told {word!r}: it takes {known}",
        fix="build the artifact for the TensorRT that will build its engine: "
        "edgedeploy build MODEL --backend trt --device BOARD",
    )


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
