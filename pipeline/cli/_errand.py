"""The option --cluster of commands on a state directory: the command runs in a pod, on the cluster's volume."""

import argparse
import sys
from collections.abc import Iterator, Sequence

from pipeline.cli._author import user
from pipeline.cli._server import no_kubeflow
from trainer.errors import UserError

OPTION = "--cluster"


def add_errand(parser: argparse.ArgumentParser) -> None:
    """Adds the option."""
    help_ = "cluster.yaml: run the command in a pod, on the volume and the database of that cluster"
    parser.add_argument(OPTION, dest="errand", metavar="FILE", help=help_)


def run_errand_of(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Runs the command of `arguments` in a pod, prints what it says, and returns its exit code.

    Raises:
      UserError: --root is given too.
      ReportedError: the pod cannot be started.
    """
    try:
        from kubeflow.doctor.kube import Kube
        from kubeflow.errand.errand import run_errand
        from kubeflow.spec.file import load_cluster
        from kubeflow.workers import kube_api
    except ImportError as error:
        raise no_kubeflow() from error

    if hasattr(options, "root"):
        raise UserError("--root has no meaning with --cluster", value=options.root, remedy="Leave one of them out")
    cluster = load_cluster(options.errand)
    who = [f"--who={options.who or user()}"] if hasattr(options, "who") else []  # the pod's user is nobody
    said = run_errand(Kube(kube_api.connect(), cluster.namespace), cluster, [*_without_cluster(arguments), *who])
    sys.stdout.write(said.out)
    sys.stderr.write(said.err)
    return said.code


def _without_cluster(arguments: Sequence[str]) -> Iterator[str]:
    given = iter(arguments)
    for argument in given:
        if argument == OPTION:
            next(given)
        elif not argument.startswith(f"{OPTION}="):
            yield argument
