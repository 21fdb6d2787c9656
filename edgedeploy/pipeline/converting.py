"""Converting one model to a file of its own."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from edgedeploy import model_file
from edgedeploy.errors import FileError, UsageError
from edgedeploy.files import require_writable, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedeploy.converting.dac import Conversion
    from edgedeploy.converting.request import DacRequest
    from edgedeploy.images import ImageSet
    from edgedeploy.model_file import ModelHints


def convert(
    path: Path,
    request: DacRequest,
    *,
    hints: ModelHints,
    images: ImageSet | None = None,
    out: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Path, Conversion, bool]:
    """Convert one model and write the result; see `edgedeploy.converting.dac.convert`.

    Args:
        path: The model.
        request: Ranks or a budget.
        hints: What the model's file does not say.
        images: To measure on, unlabelled; None: noise.
        out: File to write; None: ``<stem>_dac.onnx`` beside the model.
        progress: Called with (layers done, layers in all).

    Returns:
        The file, what it holds, and whether it was there already with the same bytes.

    Raises:
        UsageError: ``out`` is the model itself, a folder, no ``.onnx`` file, or one that no
            conversion has written.
        NotWrittenError: It cannot be written, which is tried before converting.
    """
    from edgedeploy.converting import dac  # imports ONNX Runtime

    target = out or path.parent / f"{path.stem}_dac.onnx"
    _check(path, target)
    if not target.is_file():  # one that is there may be up to date already
        require_writable(target.parent)
    conversion = dac.convert(model_file.read(path, hints), request, images, progress=progress)
    if target.is_file() and target.read_bytes() == conversion.data:
        return target, conversion, True
    write_atomically(target, conversion.data)
    return target, conversion, False


def _quoted(path: object) -> str:
    return shlex.quote(str(path))


def _check(path: Path, target: Path) -> None:
    if target.exists() and path.exists() and target.samefile(path):
        raise UsageError(
            f"{target} is the model that is to be converted",
            fix=f"choose another file: -o {_quoted(path.with_name(path.stem + '_dac.onnx'))}",
        )
    if target.is_dir() or target.suffix != ".onnx":
        raise UsageError(
            f"-o is {target}, and the result is one .onnx file",
            fix=f"pass the file's name: -o {_quoted(target / f'{path.stem}_dac.onnx')}"
            if target.is_dir()
            else f"pass a name that ends in .onnx: -o {_quoted(f'{target}.onnx')}",
        )
    if target.exists() and not _was_converted(target):
        raise UsageError(
            f"{target} is there, and was not written by edgedeploy convert",
            fix="remove it, or choose another file with -o",
        )


def _was_converted(path: Path) -> bool:
    from edgedeploy.converting import dac

    try:
        return any(prop.key == dac.KEY for prop in model_file.load_proto(path).metadata_props)
    except FileError:
        return False
