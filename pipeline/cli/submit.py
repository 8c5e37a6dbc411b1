"""Uploads the pipeline, unless Kubeflow has this version, and starts a run."""

import argparse
import functools
import sys
from typing import TYPE_CHECKING, Any

from kubeflow.spec.file import load_cluster
from pipeline.cli._kubeflow import add_cluster, add_run, connect, run_parameters
from pipeline.cli._output import add_json, print_json
from pipeline.cli._server import add_server
from trainer.exit_codes import DONE
from trainer.interrupt import interruptible

if TYPE_CHECKING:
    from kubeflow.client.follow import End

HELP = "run the pipeline on Kubeflow"
EXAMPLE = "submit --cluster cluster.yaml --param epochs=10 --wait"
GUIDE = "howto/kubeflow.md"
EPILOG = (
    "Exit codes with --wait: 0 pushed or unchanged, 1 failed, terminated or not reached, 2 bad input, found before the "
    "run or by it, 3 refused by the gate, 130 and 143 stopped by SIGINT and SIGTERM. With --json the lines about tasks "
    "go to standard error."
)

PORT_FORWARD = (
    " in the UI (kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80, then http://localhost:8080; the setting "
    "ui makes it a link)"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the cluster, the server, the run and whether to follow it."""
    add_cluster(parser)
    add_server(parser)
    add_run(parser)
    parser.add_argument(
        "--wait", action="store_true", help="follow the run to its end; Ctrl-C stops following it, not the run"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Starts the run and, with --wait, follows it."""
    from kubeflow.client import submit
    from kubeflow.client.follow import End, follow

    cluster = load_cluster(options.cluster)
    parameters = run_parameters(options.params, cluster)
    with interruptible():
        api = connect(options, cluster)
        submit.find_pipeline(api)  # reports a wrong login or address before the slow upload
        version = submit.upload(api, cluster)
        experiment = submit.experiment_id(api, options.experiment)
        started = submit.start(api, version, experiment, parameters, cluster.service_account)
        say = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
        say(f"Version {version.name}\nRun {api.url(started)}{'' if api.ui else PORT_FORWARD}")
        end = follow(api, started, say) if options.wait else None
    if options.json:
        found = {"run": started, "version": version.name, "url": api.url(started)}
        print_json({**found, **_facts(end or End(DONE, "started", "", [], {}))})
    elif end:
        say(end.text)
    return end.code if end else DONE


def _facts(end: "End") -> dict[str, Any]:
    found = end._asdict()
    return {"exit_code": found.pop("code"), **found}
