"""The commands `compile`, `submit` and `schedule`. Imports KFP and TFX only when one of them runs."""

import argparse
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kubeflow.cluster import Cluster, load_cluster
from kubeflow.cron import check_cron, check_time_zone
from kubeflow.parameters import Parameters, pipeline_config
from trainer.errors import UserError
from trainer.interrupt import interruptible

if TYPE_CHECKING:
    from kubeflow.api import Api

EXPERIMENT = "vaeiaf"


def add_commands(commands: Any) -> None:
    """Adds the commands; each puts its function, `(options) -> exit code`, in `options.command`."""
    _add_compile(commands)
    _add_submit(commands)
    _add_schedule(commands)


def _add_compile(commands: Any) -> None:
    parser = _command(commands, "compile", "write the pipeline for Kubeflow into a file", _compile)
    parser.add_argument(
        "--output", metavar="FILE", default="vaeiaf.yaml", help="to upload in the UI (default: %(default)s)"
    )


def _add_submit(commands: Any) -> None:
    parser = _command(
        commands,
        "submit",
        "run the pipeline on Kubeflow",
        _submit,
        "Uploads the pipeline, unless this version is there, and starts a run. ",
        "Exit codes with --wait: 0 pushed or unchanged, 1 failed, 2 bad input, 3 refused by the gate.",
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
        _schedule,
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
        name, help=text, description=description or f"{text.capitalize()}.", epilog=epilog, allow_abbrev=False
    )
    parser.set_defaults(command=function)
    parser.add_argument(
        "--cluster",
        metavar="FILE",
        required=True,
        help="what there is to know of the cluster; see kubeflow/cluster.yaml",
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


def _compile(options: argparse.Namespace) -> int:
    cluster = load_cluster(options.cluster)
    folder = os.path.dirname(os.path.abspath(options.output))
    if not os.path.isdir(folder) or not options.output.endswith((".yaml", ".yml")):
        raise UserError(f"--output {options.output}: expected the name of a YAML file in a folder that exists")
    from kubeflow.compile import compile_to

    compile_to(options.output, cluster)
    print(f"Written: {options.output}")
    return 0


def _submit(options: argparse.Namespace) -> int:
    cluster = load_cluster(options.cluster)
    parameters = run_parameters(options.params, cluster)
    with interruptible():
        api = _connect(options, cluster)
        from kubeflow import submit
        from kubeflow.follow import follow

        submit.find_pipeline(api)  # a login or address that is wrong is known before the compiler's seconds
        with submit.compiled(cluster) as package:
            version = submit.upload(api, package)
        run = submit.start(api, version, submit.experiment_id(api, options.experiment), parameters)
        print(f"Version {version.name}\nRun {api.url(run)}", flush=True)
        return follow(api, run, package.nodes) if options.wait else 0


def _schedule(options: argparse.Namespace) -> int:
    cluster = load_cluster(options.cluster)
    if options.cron is not None:
        return _replace(options, cluster)
    if options.name or options.params or options.time_zone:
        raise UserError("--name, --param and --time-zone go with --cron")
    with interruptible():
        api = _connect(options, cluster)
        if options.list:
            _print_table(api, cluster)
        else:
            _change(options, api)
    return 0


def _replace(options: argparse.Namespace, cluster: Cluster) -> int:
    if not options.name:
        raise UserError("--cron needs --name, of the schedule to create or replace")
    parameters = run_parameters(options.params, cluster)
    cron = check_cron(options.cron)
    check_time_zone(options.time_zone or cluster.time_zone, cluster.time_zone)
    with interruptible():
        api = _connect(options, cluster)
        from kubeflow import schedule, submit

        schedule.named(
            api, options.name
        )  # a name, login or address that is wrong is known before the compiler's seconds
        with submit.compiled(cluster) as package:
            version = submit.upload(api, package)
        experiment = submit.experiment_id(api, options.experiment)
        done = schedule.replace(api, schedule.Schedule(options.name, cron, version, experiment, parameters))
    what = "unchanged" if done.unchanged else "scheduled"
    print(f"{options.name}: {what}, {cron} in {cluster.time_zone}, version {version.name}")
    if done.busy:
        print(f"Its predecessor is disabled, and stays until the next call for its run: {_urls(api, done.busy)}")
    return 0


def _change(options: argparse.Namespace, api: "Api") -> None:
    from kubeflow import schedule

    name = options.pause or options.resume or options.delete
    runs = schedule.named(api, name)
    if not runs:
        raise UserError(f"no schedule {name} in namespace {api.namespace}; --list shows those there are")
    if options.resume:
        schedule.resume(api, runs)
        print(f"{name}: enabled")
    elif options.pause:
        for run in runs:
            schedule.switch(api, run, False)
        print(f"{name}: paused")
    elif busy := [run for old in runs for run in schedule.remove(api, old)]:
        print(f"{name}: paused; delete it when its run has ended, which Kubernetes might stop: {_urls(api, busy)}")
    else:
        print(f"{name}: deleted")


def _print_table(api: "Api", cluster: Cluster) -> None:
    from kubeflow import schedule, submit

    runs = schedule.listed(api)
    if not runs:
        print(f"No schedule in namespace {api.namespace}")
        return
    versions = submit.versions(api, runs[0].pipeline_version_reference.pipeline_id)
    newest = {run.display_name: run for run in runs}
    rows = [("name", f"cron ({cluster.time_zone})", "state", "version", "parameters")]
    for run in runs:
        state = "enabled" if run.mode == "ENABLE" else "paused" if run is newest[run.display_name] else "replaced"
        version = run.pipeline_version_reference.pipeline_version_id
        given = " ".join(f"{name}={_text(value)}" for name, value in _changed(schedule.parameters_of(run)).items())
        rows.append((run.display_name, schedule.cron_of(run), state, versions.get(version, version), given))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _connect(options: argparse.Namespace, cluster: Cluster) -> "Api":
    from kubeflow.api import connect

    return connect(cluster.namespace, options.host, options.token_file, options.cookie_file)


def run_parameters(texts: Sequence[str], cluster: Cluster) -> dict[str, Any]:
    """The parameters that texts like `epochs=10` give, checked as a run on the cluster would check them.

    Raises:
      UserError: an unknown name, or a value that cannot be.
    """
    kinds = {field.name: field.type for field in dataclasses.fields(Parameters)}
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--param {text}: expected NAME=VALUE")
        values[name] = value if kinds.get(name) is str else _json(value)
    parameters = Parameters.from_dict(values)
    pipeline_config(parameters, cluster)
    return {name: getattr(parameters, name) for name in values}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _changed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not the defaults."""
    defaults = dataclasses.asdict(Parameters())
    return {name: value for name, value in parameters.items() if value != defaults.get(name)}


def _urls(api: "Api", runs: Sequence[str]) -> str:
    return ", ".join(api.url(run) for run in runs)
