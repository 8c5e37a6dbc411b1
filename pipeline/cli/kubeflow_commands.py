"""The options of the commands `compile`, `submit` and `schedule`. Imports KFP and TFX only when one of them runs."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from kubeflow.spec.parameters import Parameters

EXPERIMENT = "vaeiaf"


def add_commands(commands: Any) -> None:
    """Adds the commands; each puts its function, `(options) -> exit code`, in `options.command`."""
    _add_compile(commands)
    _add_submit(commands)
    _add_schedule(commands)


def _add_compile(commands: Any) -> None:
    parser = _command(commands, "compile", "write the pipeline for Kubeflow into a file", _later("compile_pipeline"))
    parser.add_argument(
        "--output", metavar="FILE", default="vaeiaf.yaml", help="to upload in the UI (default: %(default)s)"
    )


def _add_submit(commands: Any) -> None:
    parser = _command(
        commands,
        "submit",
        "run the pipeline on Kubeflow",
        _later("submit"),
        "Uploads the pipeline, unless this version is there, and starts a run. ",
        "Exit codes with --wait: 0 pushed or unchanged, 1 failed, 2 bad input before the run, 3 refused by the gate.",
    )
    _add_server(parser)
    _add_run(parser)
    parser.add_argument(
        "--wait", action="store_true", help="follow the run to its end; Ctrl-C stops following it, not the run"
    )


def _add_schedule(commands: Any) -> None:
    parser = _command(
        commands,
        "schedule",
        "run the pipeline on Kubeflow again and again",
        _later("schedule"),
        "Creates the schedule NAME of the pipeline as it is now, or replaces it; or shows and changes those there are.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--cron", metavar="CRON", help="when: second minute hour day month weekday, as '0 0 3 * * *'")
    what.add_argument("--list", action="store_true", help="show all schedules")
    what.add_argument("--pause", metavar="NAME", help="disable a schedule; a run that is at work goes on")
    what.add_argument(
        "--resume", metavar="NAME", help="enable it again; of the times it missed the last is made up for"
    )
    what.add_argument("--delete", metavar="NAME", help="delete a schedule")
    parser.add_argument("--name", metavar="NAME", help="of the schedule that --cron creates or replaces")
    parser.add_argument(
        "--time-zone", metavar="ZONE", help="that --cron is meant in; refused if it is not the cluster's"
    )
    _add_server(parser)
    _add_run(parser)


def _command(commands: Any, name: str, text: str, function: Any, description: str = "", epilog: str = "") -> Any:
    parser = commands.add_parser(
        name, help=text, description=description or f"{text[0].upper()}{text[1:]}.", epilog=epilog, allow_abbrev=False
    )
    parser.set_defaults(command=function)
    parser.add_argument(
        "--cluster",
        metavar="FILE",
        required=True,
        help="what there is to know of the cluster; see kubeflow/spec/cluster.yaml",
    )
    return parser


def _add_server(parser: argparse.ArgumentParser) -> None:
    server = parser.add_argument_group("Kubeflow Pipelines")
    server.add_argument(
        "--host",
        metavar="URL",
        help="of Kubeflow Pipelines (default: KF_PIPELINES_ENDPOINT, the cluster around, kubectl's)",
    )
    server.add_argument(
        "--token-file",
        metavar="FILE",
        help="token to log in with (default: KF_PIPELINES_SA_TOKEN_PATH, as pods have it)",
    )
    server.add_argument("--cookie-file", metavar="FILE", help="cookie to log in with, as authservice_session=...")


def _add_run(parser: argparse.ArgumentParser) -> None:
    run = parser.add_argument_group("run")
    run.add_argument("--experiment", metavar="NAME", default=EXPERIMENT, help="of the runs (default: %(default)s)")
    names = ", ".join(field.name for field in dataclasses.fields(Parameters))
    run.add_argument(
        "--param",
        dest="params",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"parameter of the run: {names}",
    )


def _later(name: str) -> Callable[[argparse.Namespace], int]:
    """The function of pipeline.cli.kubeflow_actions with this name, which is imported when it is called."""

    def command(options: argparse.Namespace) -> int:
        from pipeline.cli import kubeflow_actions as actions

        return getattr(actions, name)(options)

    return command
