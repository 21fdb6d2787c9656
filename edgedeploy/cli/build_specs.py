"""What the options of build ask of each backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedeploy.types import BuildSpec

_ANY_X86 = "any"
_CPU = "CPU"
_FLAGS = {"optimization_level": "opt-level"}


def backend_names(given: Sequence[str]) -> list[str]:
    """Return the backends of ``--backend``, which may be repeated and may hold commas, each once.

    Raises:
        UnknownNameError: There is no such backend.
        UsageError: None is given.
    """
    from edgedeploy import backends

    words = [name.strip() for text in given for name in text.split(",")]
    names = [name for name in words if name]  # a comma too many does no harm
    if not names:
        raise UsageError("no backend is given", fix=f"pass --backend {'|'.join(backends.names())}")
    for name in names:
        backends.package(name)  # refuses one that there is not
    return list(dict.fromkeys(names))


def specs(
    names: Sequence[str],
    precisions: Sequence[str],
    *,
    ov_device: str | None,
    x86: str | None,
    trt: Mapping[str, Any],
    board: tuple[str | None, str | None],
) -> list[BuildSpec]:
    """Make a spec for each backend and precision; each gets the options that are its own.

    Args:
        names: Backends.
        precisions: Those asked for; none means fp32.
        ov_device: OpenVINO's device; None: not given.
        x86: Which x86 CPUs INT8 is for, where CPUs compute; None: not given.
        trt: TensorRT's options, as far as they are given.
        board: The board and its JetPack, for TensorRT.

    Raises:
        UsageError: An option is of a backend, or of a precision, that was not asked for.
    """
    from edgedeploy import pipeline
    from edgedeploy.runtime import trt_options
    from edgedeploy.types import BuildSpec, Precision

    _check(names, precisions, ov_device=ov_device, x86=x86, trt=trt)
    if "dla_core" in trt:  # a DLA takes one size of batch
        trt = {"batch": (1, 1, 1), **trt}
    asked_of_trt = trt_options.check(trt_options.TrtOptions(**trt))
    target = pipeline.find_target(*board)
    on_cpus = [name for name in names if name != "trt"] or names
    with_target = [name for name in names if name == "trt"] or names
    return [
        BuildSpec(
            backend=name,
            precision=Precision(precision),
            ov_device=ov_device if ov_device is not None and name == "openvino" else _CPU,
            x86=x86 if x86 is not None and precision == "int8" and name in on_cpus else _ANY_X86,
            trt=asked_of_trt if name == "trt" else trt_options.TrtOptions(),
            target=target if name in with_target else None,
        )
        for name in names
        for precision in precisions or ["fp32"]
    ]


def batch(text: str) -> tuple[int, int, int]:
    """Read ``4`` as 4,4,4 and ``1,4,8`` as it is.

    Raises:
        UsageError: It is neither.
    """
    parts = text.split(",")
    if len(parts) not in (1, 3) or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(
            f"--batch is {text!r}",
            fix="pass one number, or smallest, best and largest: --batch 1,4,8",
        )
    low, best, high = (int(part) for part in (parts if len(parts) == 3 else parts * 3))
    return low, best, high


def _check(
    names: Sequence[str],
    precisions: Sequence[str],
    *,
    ov_device: str | None,
    x86: str | None,
    trt: Mapping[str, Any],
) -> None:
    """Refuse options that nothing of what was asked for takes."""
    if x86 is not None and "int8" not in precisions:
        raise _only_int8(f"--x86 {x86}", precisions, "add --int8, or leave --x86 out")
    if ov_device is not None and "openvino" not in names:
        raise _not_for(f"--ov-device {ov_device}", "OpenVINO", "openvino", names)
    if trt and "trt" not in names:
        flags = ", ".join(f"--{_FLAGS.get(name, name).replace('_', '-')}" for name in trt)
        raise _not_for(flags, "TensorRT", "trt", names)
    int8_only = [name for name in ("int8_mode", "tune") if name in trt]
    if int8_only and "int8" not in precisions:
        flag = f"--{int8_only[0].replace('_', '-')}"
        raise _only_int8(flag, precisions, "add --int8, or leave it out")


def _only_int8(flag: str, precisions: Sequence[str], fix: str) -> UsageError:
    asked = " and ".join(precisions) or "fp32"
    return UsageError(f"{flag} is about INT8, and {asked} was asked for", fix=fix)


def _not_for(flags: str, vendor: str, backend: str, names: Sequence[str]) -> UsageError:
    asked = " and ".join(map(repr, names))
    return UsageError(
        f"{flags} is for {vendor}, and backend {asked} was asked for",
        fix=f"leave it out, or pass --backend {backend}",
    )
