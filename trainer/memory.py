"""Memory that one training step frees and the next one asks for again."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
KEPT_BYTES = 2**30


def keep_freed_memory() -> None:
    """Has the C library keep what this process frees, for what it asks for next.

    XLA asks for its temporaries at once, in every step: some 40 MB for `resnet`. glibc would give so much back to the
    kernel, which clears each page of it when it is touched again. It would do so for any thread but the first, however
    high its threshold, unless all threads share one arena. Another C library is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
