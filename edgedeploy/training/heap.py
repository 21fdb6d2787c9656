"""How the C library's heap treats tensors that are freed."""

from __future__ import annotations

import ctypes
import platform

# malloc.h of the GNU C library
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, instead of handing it back every time.

    The GNU C library gives a large block, such as an activation, pages of its own and hands them
    back when it is freed, so that every step of a training on a CPU pays for fresh pages of
    zeros. `docs/training.md` says what that takes. The process then holds its peak until it
    ends, so this is for programs, never for a library that others embed.

    Returns:
        Whether it is so now: False with another C library, which is left alone.

    Source:
        mallopt(3): M_MMAP_MAX 0 takes no block out of the heap, M_TRIM_THRESHOLD −1 never
        shrinks it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return all(library.mallopt(*pair) for pair in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER)))
