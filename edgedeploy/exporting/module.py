"""A user's own torch module to ONNX, through torch's exporter, and compared with it afterwards."""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from edgedeploy.errors import BuildError, FileError, UsageError
from edgedeploy.exporting.network import INPUT, IR_VERSION, OPSET, OUTPUT
from edgedeploy.graph.fold_batch_norm import fold_batch_norm
from edgedeploy.graph.shapes import fix_size
from edgedeploy.optional import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from edgedeploy.types import Array

_TOLERANCE = 1e-4  # of the largest output
_SEED = 0


def export_module(target: str, *, resolution: int) -> onnx.ModelProto:
    """Export what ``target`` makes, with batch norm folded, and check it against the module.

    The module's own code runs: pass only modules that you trust.

    Args:
        target: ``package.module:name``, found from the working folder too. The name is a function
            or class that returns a `torch.nn.Module` when it is called without arguments, or is
            such a module itself; its weights are the module's business.
        resolution: Side in pixels of the (N, 3, R, R) float32 input that the module takes.

    Returns:
        Opset 13, IR version 7: ``image`` (N, 3, R, R) → ``logits`` (N, …), any N.

    Raises:
        UsageError: Nothing of that name can be imported, it makes no module, or the module does
            not take that input and return one tensor.
        BuildError: torch cannot export it at opset 13, or the result differs from the module.
        MissingDependencyError: torch is not installed.
    """
    with needs("torch", extra="export"):
        import torch
    if not 1 <= resolution <= 4096:
        raise UsageError(
            f"resolution is {resolution}, it must be 1 to 4096 pixels",
            fix="pass an input side such as 224, 192, 160 or 128",
        )
    generator = torch.Generator().manual_seed(_SEED)
    images = torch.randn((3, 3, resolution, resolution), generator=generator)
    with _working_folder():  # to the end: forward() may import as well
        module = _module(target).eval().to("cpu", torch.float32)
        wanted = _outputs(module, images, target)
        exported = _exported(module, images[:2], target)
    model = ir.serde.deserialize_model(exported)
    model.ir_version = IR_VERSION
    fix_size(model, (resolution, resolution))
    fold_batch_norm(model)
    proto = ir.serde.serialize_model(model)
    onnx.checker.check_model(proto, full_check=True)
    _compare(proto, images.numpy(), wanted, target)
    return proto


def _module(target: str) -> torch.nn.Module:
    """Import the target and make the module; whatever the user's code raises is told as usage."""
    import torch

    package, _, name = target.partition(":")
    if not package or not name:
        raise UsageError(
            f"--module is {target!r}, it must be package.module:name",
            fix="pass for example --module mynets.small:make, where make() returns the module",
        )
    try:
        found = getattr(importlib.import_module(package), name)
        if not isinstance(found, torch.nn.Module):
            found = found()
    except Exception as error:  # the user's own code, which may raise anything
        raise UsageError(
            f"--module {target} does not make a module: {type(error).__name__}: {error}",
            fix=f'check that this works: python -c "from {package} import {name}; {name}()"',
        ) from error
    if not isinstance(found, torch.nn.Module):
        raise UsageError(
            f"--module {target} makes a {type(found).__name__}, wanted a torch.nn.Module",
            fix="name a function or class that returns the module when called without arguments",
        )
    return found


def _outputs(module: torch.nn.Module, images: torch.Tensor, target: str) -> Array:
    """Run the module; the result is what the export is compared with."""
    import torch

    try:
        with torch.inference_mode():
            result = module(images)
    except Exception as error:  # the user's own code, which may raise anything
        raise UsageError(
            f"{target} does not take a {tuple(images.shape)} float32 tensor: "
            f"{type(error).__name__}: {error}",
            fix="pass the --resolution that it was made for, or wrap it so that it takes images",
        ) from error
    if not isinstance(result, torch.Tensor) or result.ndim < 2 or len(result) != len(images):
        shape = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
        raise UsageError(
            f"{target} returns {shape} for {len(images)} images, wanted one tensor (N, classes)",
            fix="wrap the module so that it returns its logits only",
        )
    return result.to(torch.float32).numpy()


def _exported(module: torch.nn.Module, images: torch.Tensor, target: str) -> onnx.ModelProto:
    import torch

    try:
        with TemporaryDirectory() as folder, _quiet(), torch.no_grad():
            path = Path(folder) / "module.onnx"
            # the new exporter (dynamo=True) starts at opset 18, which TensorRT 8.2 cannot read
            torch.onnx.export(
                module,
                (images,),
                path,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "N"}, OUTPUT: {0: "N"}},
                dynamo=False,
            )
            return onnx.load(path)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise BuildError(
            f"torch cannot export {target} at opset {OPSET}: {str(error).strip().splitlines()[0]}",
            fix="replace the operator by simpler ones, or build an ONNX file that you export",
        ) from error


def _compare(proto: onnx.ModelProto, images: Array, wanted: Array, target: str) -> None:
    """Run the export on one image and on several, and compare with the module.

    Raises:
        BuildError: They differ, for example because the module's code depends on its input.
    """
    from edgedeploy.graph_session import session  # imports ONNX Runtime

    loaded = session(proto, None)
    for count in (1, len(images)):
        try:
            (found,) = loaded.run([OUTPUT], {INPUT: images[:count]})
        except FileError as refused:
            raise _differs(target, refused.problem) from refused
        expected = wanted[:count]
        if found.shape != expected.shape:
            raise _differs(target, f"its output is {found.shape}, the module's {expected.shape}")
        error = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12)
        if not error <= _TOLERANCE:
            raise _differs(
                target, f"its output is off by {error:.1e}, at most {_TOLERANCE:.0e} is allowed"
            )


def _differs(target: str, how: str) -> BuildError:
    return BuildError(
        f"the export of {target} is not the module: {how}",
        fix="take out what depends on values or on the batch's size, and what is random in eval()",
    )


@contextmanager
def _working_folder() -> Iterator[None]:
    """Let imports find the user's own files, as ``python -m`` does."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's notes on its own exporters from the user, who chose neither."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
