"""glibc's allocator: makes it return memory to the system once viewers have left.

Without this, freed bytes of frames stay with the process. Other allocators are left as they are, and so is
glibc's if the environment sets it.
"""

import ctypes
import os

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of mallopt(3)."""
OPTIONS = {MMAP_THRESHOLD: 124 * 1024, TRIM_THRESHOLD: 8 * 1024 * 1024}
"""Bytes from which a block is mapped apart, as pieces of frames are, and bytes that may stay free."""


def return_freed_memory() -> bool:
    """Sets the thresholds for this process. Returns True if they are set as wanted."""
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and sum(mallopt(*option) for option in OPTIONS.items()) == len(OPTIONS)
