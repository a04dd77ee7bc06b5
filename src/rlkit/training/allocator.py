"""Settings of the memory allocator of this process."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h: freed bytes at the top of the heap that go back, and the size from which blocks bypass it."""


def keep_freed_memory() -> bool:
    """Have glibc, where that is the allocator, keep large blocks that are freed; whether it will.

    It would hand them back to the kernel, and every update of a convolution would allocate its tensors again, page by
    page.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return False
    # 32 MiB is the most that every glibc takes.
    return bool(mallopt(M_MMAP_THRESHOLD, 2**25) and mallopt(M_TRIM_THRESHOLD, 2**30))
