"""Creates or replaces the schedule NAME, with the pipeline as it is now; or lists and changes schedules."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kubeflow.client.cron import check_cron, check_time_zone
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.file import load_cluster
from kubeflow.spec.parameters import parameters
from pipeline.cli._kubeflow import EXPERIMENT, add_cluster, add_run, connect, run_parameters
from pipeline.cli._output import add_json, print_json, print_parts, table
from pipeline.cli._server import add_server
from trainer.errors import UserError
from trainer.exit_codes import DONE
from trainer.interrupt import interruptible

HELP = "run the pipeline on Kubeflow on a schedule"
EXAMPLE = "schedule --cluster cluster.yaml --name nightly --cron '0 0 3 * * *'"
GUIDE = "howto/schedule.md"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the cluster, what to do with which schedule, the server and the run."""
    add_cluster(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--cron", metavar="CRON", help="times: second minute hour day month weekday, as in '0 0 3 * * *'")
    what.add_argument("--list", action="store_true", help="list all schedules")
    what.add_argument("--pause", metavar="NAME", help="disable a schedule; a running run continues")
    what.add_argument("--resume", metavar="NAME", help="enable a schedule; it catches up on the last missed time")
    what.add_argument("--delete", metavar="NAME", help="delete a schedule")
    parser.add_argument("--name", metavar="NAME", help="schedule that --cron creates or replaces")
    parser.add_argument("--time-zone", metavar="ZONE", help="of --cron; only the cluster's is accepted")
    add_json(parser)
    add_server(parser)
    add_run(parser)


def run(options: argparse.Namespace) -> int:
    """Creates, replaces, lists or changes schedules."""
    cluster = load_cluster(options.cluster)
    if options.cron is not None:
        return _replace(options, cluster)
    if options.name or options.params or options.time_zone or options.experiment != EXPERIMENT:
        remedy = "Give --cron too, or leave them out"
        raise UserError("--name, --param, --time-zone and --experiment have no meaning without --cron", remedy=remedy)
    with interruptible():
        api = connect(options, cluster)
        if options.list:
            _print_list(api, cluster, options.json)
        else:
            _change(options, api)
    return DONE


def _replace(options: argparse.Namespace, cluster: Cluster) -> int:
    from kubeflow.client import schedule, submit

    if not options.name:
        raise UserError("--cron needs --name", remedy="Name the schedule to create or replace")
    given = run_parameters(options.params, cluster)
    cron = check_cron(options.cron)
    check_time_zone(options.time_zone or cluster.time_zone, cluster.time_zone)
    with interruptible():
        api = connect(options, cluster)
        schedule.named(api, options.name)  # reports a wrong name, login or address before the slow upload
        version = submit.upload(api, cluster)
        experiment = submit.experiment_id(api, options.experiment)
        wanted = schedule.recurring_run(options.name, cron, version, experiment, given, cluster.service_account)
        unchanged, busy = schedule.replace(api, wanted)
    what = "unchanged" if unchanged else "scheduled"
    text = f"{options.name}: {what}, {cron} in {cluster.time_zone}, version {version.name}"
    if busy:
        text += f"\nIts predecessor is disabled. The next call deletes it, after the end of: {_urls(api, busy)}"
    waits = [api.url(run) for run in busy]
    _say(options, text, Change(options.name, what, waits, cron, cluster.time_zone, version.name))
    return DONE


class Change(NamedTuple):
    """What became of a schedule."""

    name: str
    change: str  # scheduled, unchanged, enabled, paused or deleted
    waits_for: list[str]  # addresses of runs after whose end another call deletes what is left
    cron: str | None = None
    time_zone: str | None = None
    version: str | None = None


def _say(options: argparse.Namespace, text: str, change: Change) -> None:
    if options.json:
        print_json(change)
    else:
        print(text)


def _change(options: argparse.Namespace, api: Any) -> None:
    from kubeflow.client import schedule

    name = options.pause or options.resume or options.delete
    runs = schedule.named(api, name)
    if not runs:
        remedy = "Use --list to see the schedules"
        raise UserError(f"namespace {api.namespace} has no schedule {name}", value=name, remedy=remedy)
    if options.resume:
        schedule.resume(api, runs)
        _say(options, f"{name}: enabled", Change(name, "enabled", []))
    elif options.pause:
        for run in runs:
            schedule.switch(api, run, False)
        _say(options, f"{name}: paused", Change(name, "paused", []))
    elif busy := [run for old in runs for run in schedule.remove(api, old)]:
        why = "not deleted, which could stop its run. Delete it after the end of"
        text = f"{name}: paused, {why}: {_urls(api, busy)}"
        _say(options, text, Change(name, "paused", [api.url(run) for run in busy]))
    else:
        _say(options, f"{name}: deleted", Change(name, "deleted", []))


class Schedule(NamedTuple):
    """A schedule, as it is listed."""

    name: str
    cron: str
    time_zone: str
    state: str  # enabled, paused or replaced
    version: str  # of the pipeline
    parameters: dict[str, Any]  # that differ from their defaults


def _print_list(api: Any, cluster: Cluster, as_json: bool) -> None:
    found = list(_listed(api, cluster))
    if as_json:
        print_json(found)
    elif not found:
        print(f"No schedule in namespace {api.namespace}")
    else:
        heads = ("name", f"cron ({cluster.time_zone})", "state", "version", "parameters")
        given = (" ".join(f"{name}={_text(value)}" for name, value in one.parameters.items()) for one in found)
        rows = zip(found, given, strict=True)
        print_parts(table(heads, [(one.name, one.cron, one.state, one.version, text) for one, text in rows]))


def _listed(api: Any, cluster: Cluster) -> Iterator[Schedule]:
    from kubeflow.client import schedule, submit

    runs = schedule.listed(api)
    versions = submit.versions(api, runs[0].pipeline_version_reference.pipeline_id) if runs else {}
    newest = {run.display_name: run for run in runs}
    for run in runs:
        state = "enabled" if run.mode == "ENABLE" else "paused" if run is newest[run.display_name] else "replaced"
        version = run.pipeline_version_reference.pipeline_version_id
        given = _changed(schedule.parameters_of(run))
        cron = schedule.cron_of(run)
        yield Schedule(run.display_name, cron, cluster.time_zone, state, versions.get(version, version), given)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _changed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters that differ from their defaults."""
    known = {name: found.default for name, found in parameters().items()}
    return {name: value for name, value in given.items() if name not in known or value != known[name]}


def _urls(api: Any, runs: list[str]) -> str:
    return ", ".join(api.url(run) for run in runs)
