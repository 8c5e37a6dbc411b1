"""Which code this is."""

import contextlib
import os
import pathlib
import re
import subprocess
from importlib import metadata


def revision() -> str:
    """The commit of the sources, in 12 digits, with -dirty if they were changed since.

    It is VAEIAF_REVISION, as images have it; else git's; else, where there is no git, the number of the release.
    """
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]+", r"\1", os.environ.get("VAEIAF_REVISION") or _gits() or _release())


def _gits() -> str:
    here = str(pathlib.Path(__file__).absolute().parents[2])
    command = ["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        if os.path.exists(os.path.join(here, ".git")):
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return ""


def _release() -> str:
    return metadata.version("vaeiaf")
