"""What a try of a node leaves behind for those who come after it: the next try, and whoever asks what happened.

Argo tries a node again whatever it ended with, as Kubeflow tells it nothing of exit codes. After bad input, which may
show only at the end of a training, the next try would pay for all of it again to fail alike.
"""

import contextlib
import os
import re

from kubeflow.spec.contract import ARGO_NODE

LAST_WORDS = "/dev/termination-log"  # Kubernetes makes it, and shows with the pod what is in it


def refused_before(marker: str) -> str | None:
    """What the try before this one said of its bad input; None if there was none, or if this is the first.

    A run that somebody takes up again, by Retry in the UI, begins with a first try: what was missing may be there by
    then, so the file `marker` goes.
    """
    with contextlib.suppress(OSError):
        if re.search(r"\([1-9]\d*\)$", os.environ.get(ARGO_NODE, "")):
            with open(marker) as file:
                return file.read()
        os.remove(marker)
    return None


def refuse(marker: str, message: str) -> None:
    """Tells the tries after this one that the input is bad."""
    with contextlib.suppress(OSError), open(marker, "w") as file:
        file.write(message)


def say_last(words: str) -> None:
    """Makes `words` the pod's last ones, which `vaeiaf submit --wait` and `kubectl describe pod` show."""
    with contextlib.suppress(OSError), open(LAST_WORDS, "r+") as file:  # it is no file of ours to make
        file.write(words)
