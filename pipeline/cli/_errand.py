"""The option --cluster of commands on a state directory: the command runs in a pod, on the cluster's volume.

The files that it writes come back whole, to the path of --output. The images that it reads go along if they are here;
every other path is one of the pod.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping

from pipeline.cli._author import user
from pipeline.cli._models import checked_folder
from pipeline.cli._server import no_kubeflow
from trainer.errors import InterruptError, ReportedError, UserError

OPTION = "--cluster"
TOLD = 1_000_000  # characters of an answer, after which progress is told


def add_errand(parser: argparse.ArgumentParser) -> None:
    """Adds the option."""
    parser.add_argument(
        OPTION,
        dest="errand",
        metavar="FILE",
        help="cluster.yaml: run the command in a pod, on the volume and the database of that cluster. Paths are the "
        "pod's, relative ones below the volume; but IMAGE files of this machine are sent, and --output is written here",
    )


def run_errand_of(options: argparse.Namespace) -> int:
    """Runs the command of `options` in a pod, writes its files, prints what it says, and returns its exit code.

    Raises:
      UserError: --root is given too, or the files to send are too large.
      ReportedError: the pod cannot be started, or what it wrote is lost or cannot be stored.
    """
    try:
        from kubeflow.doctor.kube import Kube
        from kubeflow.errand.errand import run_errand
        from kubeflow.errand.request import Request
        from kubeflow.spec.file import load_cluster
        from kubeflow.workers import kube_api
    except ImportError as error:
        raise no_kubeflow() from error

    if hasattr(options, "root"):
        raise UserError("--root has no meaning with --cluster", value=options.root, remedy="Leave one of them out")
    cluster = load_cluster(options.errand)
    if hasattr(options, "who"):
        options.who = options.who or user()  # the pod's user is nobody
    request = Request.of(options, getattr(options, "images", ()))
    with _in_a_sentence():
        answer = run_errand(Kube(kube_api.connect(), cluster.namespace), cluster, request, _progress())
    if answer.files:
        _store(options.output, answer.files)
    sys.stdout.write(answer.out)
    sys.stderr.write(answer.err)
    if answer.files and hasattr(options, "arrived"):
        options.arrived(options)
    return answer.code


@contextlib.contextmanager
def _in_a_sentence() -> Iterator[None]:
    """Says after a signal what was kept."""
    try:
        yield
    except InterruptError as error:
        remedy = "The pod is removed, and nothing was written here"
        raise ReportedError.of(dataclasses.replace(error.failure, remedy=remedy)) from error


def _progress() -> Callable[[int, int], None]:
    """Returns a function that tells on standard error how much of a large answer has come."""
    said = 0

    def tell(received: int, size: int) -> None:
        nonlocal said
        if size > TOLD and received - said >= TOLD:
            said = received
            print(f"Received {received / 1e6:.0f} of {size / 1e6:.0f} MB", file=sys.stderr, flush=True)

    return tell


def _store(output: str, files: Mapping[str, bytes]) -> None:
    """Writes the files to the path `output`, all of them or none."""
    from trainer.storage.atomic import whole

    if "" not in files:
        checked_folder(output)  # again: the pod took its time
    elif os.path.isdir(output):
        raise UserError("--output", value=output, valid="a file", remedy="Name another, or remove the folder")
    with whole("what the pod sent", output) as unfinished:
        for name, content in files.items():
            path = pathlib.Path(unfinished, name) if name else pathlib.Path(unfinished)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
