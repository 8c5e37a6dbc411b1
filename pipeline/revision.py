"""The revision and the release of the code."""

import contextlib
import os
import pathlib
import re
import subprocess
from importlib import metadata


def revision() -> str:
    """Returns the commit of the sources, in 12 digits, with -dirty if they have changed since.

    Images have it in VAEIAF_REVISION. Elsewhere it is git's or, without git, the number of the release.
    """
    found = os.environ.get("VAEIAF_REVISION") or _of_git() or release()
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]+", r"\1", found)


def release() -> str:
    """Returns the number of the release. Images have it in VAEIAF_VERSION, because they have no distribution."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return os.environ.get("VAEIAF_VERSION") or metadata.version("vaeiaf")
    return "unknown"


def _of_git() -> str:
    root = str(pathlib.Path(__file__).absolute().parents[1])
    command = ["git", "-C", root, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        if os.path.exists(os.path.join(root, ".git")):
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return ""
