"""What a thread frees is there for it again; in processes of their own, as the setting is for a whole process."""

import platform
import subprocess
import sys

import pytest

BUFFER, TURNS, PAGE = 50_000_000, 5, 4096

PROGRAM = f"""
import ctypes, resource, sys, threading
from trainer.memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def take_and_free():
    buffer = libc.malloc({BUFFER})
    ctypes.memset(buffer, 1, {BUFFER})
    libc.free(buffer)

def work():
    take_and_free()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({TURNS}):
        take_and_free()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

if sys.argv[1] == "kept":
    keep_freed_memory()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def _page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_a_thread_gets_the_memory_back_that_it_freed():
    assert _page_faults("given back") > BUFFER // PAGE  # or there is nothing to spare; huge pages would be fewer
    assert _page_faults("kept") < 100
