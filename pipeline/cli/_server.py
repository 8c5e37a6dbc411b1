"""The server of Kubeflow Pipelines: its options, and what to say where Python finds another package `kubeflow`.

Imports nothing of Kubeflow, because the doctor is needed where it is missing.
"""

import argparse

from trainer.errors import UserError


def add_server(parser: argparse.ArgumentParser) -> None:
    """Adds the address and the login of Kubeflow Pipelines."""
    server = parser.add_argument_group("Kubeflow Pipelines")
    server.add_argument(
        "--host",
        metavar="URL",
        help="address of the API (default: KF_PIPELINES_ENDPOINT, the cluster of this pod, or kubectl's context)",
    )
    server.add_argument("--token-file", metavar="FILE", help="with a login token (default: KF_PIPELINES_SA_TOKEN_PATH)")
    server.add_argument("--cookie-file", metavar="FILE", help="with a login cookie, such as authservice_session=...")
    server.add_argument(
        "--ui",
        metavar="URL",
        help="address of the UI, for printed links (default: KF_PIPELINES_UI_ENDPOINT, or ui of the cluster file)",
    )


def no_kubeflow() -> UserError:
    """Returns the error of a command that needs our package `kubeflow`, where Python finds another one."""
    import kubeflow

    found = f"Python finds another one, {next(iter(kubeflow.__path__))}"
    remedy = "Uninstall that (pip uninstall kubeflow), or install vaeiaf in another environment"
    return UserError(f"this command needs vaeiaf's package kubeflow, and {found}", remedy=remedy)
