"""Uploads the pipeline, unless this version is there, and starts a run."""

import argparse

from kubeflow.spec.file import load_cluster
from pipeline.cli._kubeflow import add_cluster, add_run, add_server, run_parameters
from pipeline.words import PUSHED
from trainer.interrupt import interruptible

HELP = "run the pipeline on Kubeflow"
EPILOG = "Exit codes with --wait: 0 pushed or unchanged, 1 failed, 2 bad input before the run, 3 refused by the gate."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the cluster, the server, the run, and whether to follow it."""
    add_cluster(parser)
    add_server(parser)
    add_run(parser)
    parser.add_argument(
        "--wait", action="store_true", help="follow the run to its end; Ctrl-C stops following it, not the run"
    )


def run(options: argparse.Namespace) -> int:
    """Starts the run, and follows it with --wait."""
    from kubeflow.client import submit
    from kubeflow.client.api import connect
    from kubeflow.client.follow import follow

    cluster = load_cluster(options.cluster)
    parameters = run_parameters(options.params, cluster)
    with interruptible():
        api = connect(cluster.namespace, options.host, options.token_file, options.cookie_file)
        submit.find_pipeline(api)  # a wrong login or address shows before the upload
        with submit.compiled(cluster) as package:
            version = submit.upload(api, package)
        experiment = submit.experiment_id(api, options.experiment)
        started = submit.start(api, version, experiment, parameters, cluster.service_account)
        print(f"Version {version.name}\nRun {api.url(started)}", flush=True)
        return follow(api, started, package.nodes) if options.wait else PUSHED
