"""Shared libraries that hold names and nothing else, written without a compiler.

NVIDIA's binding wheels load once somebody supplies libnvinfer. They only look its functions up:
nothing is called before an object is made. So a library in which every function returns 0 is
enough to import them and to ask each class what it has.
"""

from __future__ import annotations

import platform
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What `nm -D --undefined-only` lists of the bindings of TensorRT 8.6 to 11.4, beside Python and C.
FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
    "_ZN11nvuffparser15createUffParserEv",
    "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
    "_ZN14nvcaffeparser117createCaffeParserEv",
    "_ZN14nvcaffeparser123shutdownProtobufLibraryEv",
)
# Machine -> its number in ELF, and "return 0" in its code.
MACHINES = {
    "x86_64": (62, bytes.fromhex("31c0c3")),
    "aarch64": (183, bytes.fromhex("000080d2c0035fd6")),
}

_LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser", "nvparsers")
_MAJORS = (8, 10, 11)

_HEADER, _SEGMENT, _SYMBOL, _ENTRY = 64, 56, 24, 16  # sizes in ELF64
_HASH, _STRINGS, _SYMBOLS, _STRINGS_SIZE, _SYMBOL_SIZE, _END = 4, 5, 6, 10, 11, 0  # DT_…
_GLOBAL_FUNCTION = 0x12


def write(folder: Path) -> Path:
    """Write an empty libnvinfer, and what goes with it, of every major version; return folder."""
    for name in _LIBRARIES:
        for major in _MAJORS:
            (folder / f"lib{name}.so.{major}").write_bytes(library())
    return folder


def library(names: tuple[str, ...] = FUNCTIONS, machine: str = platform.machine()) -> bytes:
    """Return a 64-bit little-endian ELF shared object whose functions all return 0.

    Layout: header, two segments (everything, mapped; the dynamic table), symbols, hash table with
    one bucket, strings, dynamic table, code.

    Source:
        System V ABI, "Object Files" and "Program Loading and Dynamic Linking".
    """
    number, code = MACHINES[machine]
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    symbols_at = _HEADER + 2 * _SEGMENT
    hash_at = symbols_at + _SYMBOL * (len(names) + 1)
    strings_at = hash_at + 4 * (len(names) + 4)
    dynamic_at = (strings_at + len(strings) + 7) // 8 * 8
    code_at = dynamic_at + 6 * _ENTRY
    size = code_at + len(code)
    dynamic = (
        (_HASH, hash_at), (_STRINGS, strings_at), (_SYMBOLS, symbols_at),
        (_STRINGS_SIZE, len(strings)), (_SYMBOL_SIZE, _SYMBOL), (_END, 0),
    )  # fmt: skip
    parts = (
        _header(number),
        _segment(1, 5, 0, size, 0x1000),  # PT_LOAD, readable and executable
        _segment(2, 4, dynamic_at, len(dynamic) * _ENTRY, 8),  # PT_DYNAMIC
        _symbols(names, code_at),
        _hash(len(names)),
        strings.ljust(dynamic_at - strings_at, b"\0"),
        b"".join(struct.pack("<2Q", *entry) for entry in dynamic),
        code,
    )
    return b"".join(parts)


def _header(machine: int) -> bytes:
    kind = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little-endian, version 1
    fields = (3, machine, 1, 0, _HEADER, 0, 0, _HEADER, _SEGMENT, 2, 0, 0, 0)  # 3: shared object
    return kind + struct.pack("<HHIQQQIHHHHHH", *fields)


def _segment(kind: int, rights: int, start: int, size: int, aligned: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, rights, start, start, start, size, size, aligned)


def _symbols(names: tuple[str, ...], address: int) -> bytes:
    table, start = bytes(_SYMBOL), 1
    for name in names:
        table += struct.pack("<IBBHQQ", start, _GLOBAL_FUNCTION, 0, 1, address, 0)
        start += len(name) + 1
    return table


def _hash(count: int) -> bytes:
    """One bucket: a chain from the first symbol to the last."""
    chain = (0, *range(2, count + 1), 0)
    return struct.pack(f"<{count + 4}I", 1, count + 1, 1, *chain)
