"""Options that the commands for Kubeflow share: cluster, server and parameters of the run."""

import argparse
import contextlib
import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.parameters import checked, parameters, run_config
from trainer.errors import UserError

EXPERIMENT = "vaeiaf"


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names cluster.yaml."""
    parser.add_argument(
        "--cluster", metavar="FILE", required=True, help="settings of the cluster, such as kubeflow/spec/cluster.yaml"
    )


def connect(options: argparse.Namespace, cluster: Cluster) -> Any:
    """Connects to the server that the options name.

    Raises:
      SettingError: the address of the UI is invalid.
      UserError: there is no address of the API, or a file cannot be read.
    """
    from kubeflow.client import api

    ui = options.ui or os.environ.get("KF_PIPELINES_UI_ENDPOINT") or cluster.ui
    ui = dataclasses.replace(cluster, ui=ui).ui  # checks it
    return api.connect(cluster.namespace, options.host, options.token_file, options.cookie_file, ui)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds the experiment and the parameters of a run."""
    run = parser.add_argument_group("run")
    run.add_argument(
        "--experiment", metavar="NAME", default=EXPERIMENT, help="that lists the runs (default: %(default)s)"
    )
    run.add_argument(
        "--param",
        dest="params",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"a parameter of the run: {', '.join(parameters())}",
    )


def run_parameters(texts: Sequence[str], cluster: Cluster) -> dict[str, Any]:
    """Returns the parameters that texts such as `epochs=10` give, checked as a run on the cluster checks them.

    Raises:
      UserError: a text has no `=`.
      SettingError: a name is unknown, or a value is invalid or without meaning.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--param {text}", value=text, valid="NAME=VALUE")
        found = parameters().get(name)
        values[name] = value
        if found and found.kind is not str:
            with contextlib.suppress(ValueError):  # no JSON: a value of the wrong type
                values[name] = json.loads(value)
    run_config(values, cluster)
    return checked(values)
