"""Whether the C library is new enough for the wheels of ML Metadata and TFDV."""

import os
import sys

from pipeline.doctor.finding import Finding, State

CHECK = "c-library"
LEAST = (2, 38)


def c_library() -> Finding:
    """Reads the version of the C library that this interpreter loads."""
    if sys.platform != "linux":
        return Finding(CHECK, State.OK, f"{sys.platform} needs no check")
    said = _version()
    if said is None or not said.startswith("glibc "):
        remedy = "Use a system with glibc, such as Debian 13 or Ubuntu 24.04, or the container image"
        return Finding(CHECK, State.WRONG, f"the C library is {said or 'unknown'}, not glibc", remedy)
    number = tuple(int(part) for part in said.removeprefix("glibc ").split(".")[:2])
    if number < LEAST:
        remedy = "Run make setup, which gives .venv a newer one of its own, and use .venv/bin/vaeiaf"
        return Finding(CHECK, State.WRONG, f"this is {said}, and ML Metadata needs glibc 2.38 or newer", remedy)
    return Finding(CHECK, State.OK, said)


def _version() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None
