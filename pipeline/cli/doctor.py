"""Checks whether a cluster can run the pipeline, and says how to mend what is wrong. Runs one short pod, which it
removes.
"""

import argparse

from kubeflow.spec.file import load_cluster
from pipeline.cli._kubeflow import add_cluster, add_server, connect
from pipeline.cli._output import add_json, print_json
from pipeline.words import FAILED, PUSHED
from trainer.interrupt import interruptible

HELP = "check a cluster before the first run"
EXAMPLE = "doctor --cluster cluster.yaml"
EPILOG = "Exit codes: 0 nothing is wrong, 1 something is, 2 bad input, 130 and 143 stopped by SIGINT and SIGTERM."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the cluster, the server and the form of the output."""
    add_cluster(parser)
    add_json(parser)
    add_server(parser)


def run(options: argparse.Namespace) -> int:
    """Makes the checks and prints a line for each finding."""
    from kubeflow.doctor.checkup import examine
    from kubeflow.doctor.finding import Finding, State
    from kubeflow.doctor.kube import Kube
    from kubeflow.workers import kube_api

    cluster = load_cluster(options.cluster)
    found: list[Finding] = []
    with interruptible():
        api, kube = connect(options, cluster), Kube(kube_api.connect(), cluster.namespace)
        for finding in examine(cluster, kube, api):
            found.append(finding)
            if not options.json:
                print(finding, flush=True)
    states = [finding.state for finding in found]
    wrong, unknown = states.count(State.WRONG), states.count(State.UNKNOWN)
    if options.json:
        print_json(found)
    else:
        print(f"{len(states)} findings: {wrong} wrong, {unknown} not checked.")
    return FAILED if wrong else PUSHED
