"""Image sets: a folder, a zip, or a folder inside a zip; labelled by one folder per class."""

from __future__ import annotations

import ast
import hashlib
import io
import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.errors import FileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType

    from edgedeploy.types import Array

# What the reader of a damaged or hostile zip raises.
_BAD_ZIP = (
    zipfile.BadZipFile, RuntimeError, OSError, EOFError, ValueError, KeyError,
    struct.error, zlib.error, lzma.LZMAError,
)  # fmt: skip
_LARGEST_BYTES = 1 << 28  # of a picture in a zip, unpacked: a bomb is told from a photograph
# Pillow reads more, some with help of other programs (EPS).
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF")

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One picture of a set.

    Attributes:
        name: Path inside the set, with forward slashes.
        label: Class index, or None where the set is not labelled.
    """

    name: str
    label: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """Pictures in sorted order, opened one by one.

    Attributes:
        source: The folder or the zip.
        inside: Folder inside the zip, ``""`` for all of it.
        entries: The pictures.
        classes: Folder names, by class index; empty where the set is not labelled.
    """

    source: Path
    inside: str
    entries: tuple[ImageEntry, ...]
    classes: dict[int, str]

    @property
    def labels(self) -> tuple[int, ...]:
        """Class index of every picture.

        Raises:
            FileError: The set is not labelled.
        """
        found = tuple(entry.label for entry in self.entries if entry.label is not None)
        if len(found) != len(self.entries):
            raise FileError(
                f"{self.source} has no class folders: {self.entries[0].name} lies at the top",
                fix="use one folder per class; sorted folder name = class index",
            )
        return found

    def pictures(
        self, *, skip: Callable[[ImageEntry, FileError], None] | None = None
    ) -> Iterator[tuple[ImageEntry, Array]]:
        """Yield every entry with its pixels, ``(H, W, 3)`` uint8 RGB, one at a time.

        Args:
            skip: Told of a picture that cannot be read, which is then left out; it may raise.
                Without it such a picture is an error.

        Raises:
            FileError: A picture cannot be read.
        """
        for entry, data in self._contents():
            try:
                if isinstance(data, FileError):
                    raise data
                frame = decode(data, name=str(self.source / self.inside / entry.name))
            except FileError as error:
                if skip is None:
                    raise
                skip(entry, error)
                continue
            yield entry, frame

    def digest(self) -> str:
        """Return a SHA-256 over the names and contents of all pictures, in order.

        Contents that cannot be read count as such, so that a set with a damaged picture has a
        digest too, and another one once it is repaired.
        """
        whole = hashlib.sha256()
        for entry, data in self._contents():
            found = "" if isinstance(data, FileError) else hashlib.sha256(data).hexdigest()
            whole.update(f"{entry.name}\0{found}\n".encode())
        return whole.hexdigest()

    def evenly(self, count: int) -> ImageSet:
        """Keep ``count`` pictures, evenly spaced over the sorted list; all if there are fewer."""
        total = len(self.entries)
        if count < 1:
            raise UsageError(f"{count} images were asked for", fix="ask for at least 1")
        if count >= total:
            return self
        return replace(self, entries=tuple(self.entries[i * total // count] for i in range(count)))

    def every(self, rule: str) -> ImageSet:
        """Keep the positions ``i`` of the sorted list for which ``rule`` holds, e.g. ``i%5<2``.

        Raises:
            UsageError: The rule is not integer arithmetic over ``i``, or keeps nothing.
        """
        code = _position_rule(rule)
        try:
            chosen = [eval(code, {"__builtins__": {}}, {"i": i}) for i in range(len(self.entries))]
        except ArithmeticError as error:
            raise UsageError(
                f"--every {rule!r} cannot be computed: {error}", fix="write a rule such as 'i%5<2'"
            ) from error
        if not all(isinstance(choice, bool) for choice in chosen):
            raise UsageError(
                f"--every {rule!r} gives a number, not yes or no",
                fix="compare it with something: 'i%5<2'",
            )
        kept = tuple(e for e, choice in zip(self.entries, chosen, strict=True) if choice)
        if not kept:
            raise UsageError(
                f"--every {rule!r} keeps none of {len(self.entries)} images",
                fix="write a rule such as 'i%5<2'",
            )
        return replace(self, entries=kept)

    def _contents(self) -> Iterator[tuple[ImageEntry, bytes | FileError]]:
        if self.source.is_dir():
            for entry in self.entries:
                yield entry, _read_file(self.source / entry.name)
            return
        with _open_zip(self.source) as archive:
            for entry in self.entries:
                inside = "/".join(filter(None, (self.inside, entry.name)))
                yield entry, _read_packed(archive, inside, self.source)


def open_images(source: Path) -> ImageSet:
    """List the pictures of a folder, a zip, or ``archive.zip/folder``.

    Raises:
        FileError: Nothing is there, no picture is in it, or a zip entry points outside.
    """
    if source.is_dir():
        names = [p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()]
        return _image_set(source, "", names)
    archive_path, inside = _split_zip_path(source)
    with _open_zip(archive_path) as archive:
        names = archive.namelist()
    for name in names:
        if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise FileError(
                f"{archive_path} has an entry that points outside: {name!r}",
                fix="do not use this archive, or pack it again from its folder",
            )
    prefix = f"{inside}/" if inside else ""
    below = [n[len(prefix) :] for n in names if n.startswith(prefix) and not n.endswith("/")]
    return _image_set(archive_path, inside, below)


def decode(data: bytes, *, name: str) -> Array:
    """Decode one picture of any mode to ``(H, W, 3)`` uint8 RGB; EXIF rotation is not applied.

    Raises:
        FileError: It is no picture, is cut off, or is too large to be one.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            image.load()
            if image.mode.startswith("I"):  # 16-bit grey; convert() would clip it to white
                grey = np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8)
                return np.repeat(grey[..., np.newaxis], 3, axis=2)
            if image.mode == "P" and "transparency" in image.info:
                return np.asarray(image.convert("RGBA").convert("RGB"))
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow's readers raise whatever the bytes lead them to
        raise _unreadable(name, error) from error


def read_image(path: Path) -> Array:
    """Read one picture file to ``(H, W, 3)`` uint8 RGB.

    Raises:
        FileError: The file is missing or is no picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}", fix="pass the paths of JPEG or PNG files"
        ) from error
    return decode(data, name=str(path))


def _image_set(source: Path, inside: str, names: Sequence[str]) -> ImageSet:
    pictures = sorted(n for n in names if _is_picture(PurePosixPath(n)))
    if not pictures:
        raise FileError(
            f"{source}{'/' + inside if inside else ''} has no pictures in it ({len(names)} files)",
            fix=f"pass a folder or zip with {', '.join(sorted(SUFFIXES))} files",
        )
    folders = sorted({PurePosixPath(n).parts[0] for n in pictures if "/" in n})
    numbered = all(folder.isdecimal() and len(folder) < 10 for folder in folders)
    index = {folder: int(folder) if numbered else i for i, folder in enumerate(folders)}
    classes = {number: folder for folder, number in index.items()}
    if len(classes) < len(folders):
        twice = next(f for f in folders if classes[index[f]] != f)
        raise FileError(
            f"{source} has two folders for class {index[twice]}: {twice!r}, "
            f"{classes[index[twice]]!r}",
            fix="rename one of them: a folder whose name is a number is the class of that index",
        )
    return ImageSet(
        source=source,
        inside=inside,
        entries=tuple(ImageEntry(n, index.get(PurePosixPath(n).parts[0])) for n in pictures),
        classes=classes,
    )


def _is_picture(path: PurePosixPath) -> bool:
    """Tell pictures from the rest, and from what macOS and editors leave beside them."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _split_zip_path(source: Path) -> tuple[Path, str]:
    for candidate in (source, *source.parents):
        if candidate.is_file():
            return candidate, "/".join(source.relative_to(candidate).parts)
    raise FileError(f"there is no {source}", fix="pass an image folder, a zip, or zip/folder")


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _BAD_ZIP as error:
        raise FileError(
            f"{path} is not a zip that can be read: {error}",
            fix="pass an image folder, a zip, or a folder inside a zip",
        ) from error


def _read_file(path: Path) -> bytes | FileError:
    try:
        return path.read_bytes()
    except OSError as error:
        return _unreadable(path, error)


def _read_packed(archive: zipfile.ZipFile, name: str, source: Path) -> bytes | FileError:
    try:
        info = archive.getinfo(name)
        if info.file_size > _LARGEST_BYTES:
            raise ValueError(f"it unpacks to {info.file_size} bytes")
        return archive.read(info)
    except _BAD_ZIP as error:
        return _unreadable(source / name, error)


def _unreadable(name: object, error: Exception) -> FileError:
    unknown = type(error).__name__ == "UnidentifiedImageError"  # its text has a memory address
    reason = "its format is not known" if unknown else str(error)
    return FileError(
        f"{name} is not a picture that can be read: {reason}",
        fix="remove it, or replace it with a whole JPEG or PNG",
    )


_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp,
    ast.Add, ast.Sub, ast.Mult, ast.Mod, ast.FloorDiv, ast.Compare, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE, ast.Eq, ast.NotEq, ast.Name, ast.Load, ast.Constant,
)  # fmt: skip


def _position_rule(rule: str) -> CodeType:
    wrong = UsageError(
        f"--every {rule!r} is not arithmetic over the position i",
        fix="write a rule such as 'i%5<2': integers, i, + - * // %, comparisons, and, or, not",
    )
    try:
        tree = ast.parse(rule.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise wrong from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise wrong
        if isinstance(node, ast.Name) and node.id != "i":
            raise wrong
        if isinstance(node, ast.Constant) and type(node.value) is not int:
            raise wrong
    return compile(tree, "--every", "eval")
