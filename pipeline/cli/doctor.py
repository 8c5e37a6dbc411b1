"""Checks whether this machine can run the pipeline: versions, C library, memory, disk, state directory, database, data,
Docker. With --cluster it checks a cluster instead, and runs one short pod there, which it removes. It says how to mend
what is wrong.
"""

import argparse
from collections.abc import Iterable

from pipeline.cli._options import add_data, data_of
from pipeline.cli._output import add_json, print_json
from pipeline.cli._server import add_server, no_kubeflow
from pipeline.doctor.finding import Finding, State
from trainer.errors import UserError
from trainer.exit_codes import DONE, FAILED

HELP = "check this machine, or a cluster, before the first run"
EXAMPLE = "doctor --root vaeiaf --dataset photo_patches"
GUIDE = "howto/doctor.md"
EPILOG = "Exit codes: 0 nothing is wrong, 1 something is, 2 bad input, 130 and 143 stopped by SIGINT and SIGTERM."
SERVER = ("host", "token_file", "cookie_file", "ui")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the cluster and its server, or the data and the state directory, and the form of the output."""
    parser.add_argument("--cluster", metavar="FILE", help="settings of the cluster, such as kubeflow/spec/cluster.yaml")
    add_server(parser)
    add_data(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Makes the checks and prints a line for each finding."""
    found: list[Finding] = []
    for finding in _of_cluster(options) if options.cluster else _of_machine(options):
        found.append(finding)
        if not options.json:
            print(finding, flush=True)
    states = [finding.state for finding in found]
    wrong, unknown = states.count(State.WRONG), states.count(State.UNKNOWN)
    if options.json:
        print_json(found)
    else:
        print(f"{len(states)} findings: {wrong} wrong, {unknown} not checked.")
    return FAILED if wrong else DONE


def _of_machine(options: argparse.Namespace) -> Iterable[Finding]:
    from pipeline.doctor.checkup import examine

    if given := [name for name in SERVER if getattr(options, name)]:
        sentence = f"--{given[0].replace('_', '-')} has no meaning without --cluster"
        raise UserError(sentence, value=getattr(options, given[0]), remedy="Give --cluster too, or leave it out")
    return examine(data_of(options))


def _of_cluster(options: argparse.Namespace) -> Iterable[Finding]:
    try:
        from kubeflow.doctor.checkup import examine
        from kubeflow.doctor.kube import Kube
        from kubeflow.spec.file import load_cluster
        from kubeflow.workers import kube_api
        from pipeline.cli._kubeflow import connect
    except ImportError as error:
        raise no_kubeflow() from error

    cluster = load_cluster(options.cluster)
    api, kube = connect(options, cluster), Kube(kube_api.connect(), cluster.namespace)
    return examine(cluster, kube, api)
