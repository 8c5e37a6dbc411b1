"""What the commands for Kubeflow share: the options that name the cluster, the server and the run's parameters."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.parameters import parameters, run_config
from trainer.errors import UserError

EXPERIMENT = "vaeiaf"


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names cluster.yaml."""
    parser.add_argument(
        "--cluster", metavar="FILE", required=True, help="settings of the cluster; see kubeflow/spec/cluster.yaml"
    )


def add_server(parser: argparse.ArgumentParser) -> None:
    """Adds address and login of Kubeflow Pipelines."""
    server = parser.add_argument_group("Kubeflow Pipelines")
    server.add_argument(
        "--host",
        metavar="URL",
        help="of the API (default: KF_PIPELINES_ENDPOINT, the cluster around this pod, kubectl's context)",
    )
    server.add_argument(
        "--token-file", metavar="FILE", help="login token (default: KF_PIPELINES_SA_TOKEN_PATH, as in pods)"
    )
    server.add_argument("--cookie-file", metavar="FILE", help="login cookie, such as authservice_session=...")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds the experiment and the parameters of a run."""
    run = parser.add_argument_group("run")
    run.add_argument("--experiment", metavar="NAME", default=EXPERIMENT, help="of the runs (default: %(default)s)")
    run.add_argument(
        "--param",
        dest="params",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"parameter of the run: {', '.join(parameters())}",
    )


def run_parameters(texts: Sequence[str], cluster: Cluster) -> dict[str, Any]:
    """The parameters that texts such as `epochs=10` give, checked as a run on the cluster checks them.

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
        values[name] = _value(value, found.kind if found else str)
    run_config(values, cluster)
    return values


def _value(text: str, kind: type) -> Any:
    if kind is str:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return kind(value) if kind is float and isinstance(value, int) and not isinstance(value, bool) else value
