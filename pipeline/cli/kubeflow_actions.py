"""What the commands `compile`, `submit` and `schedule` do, by their options; each returns its exit code."""

import argparse
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from kubeflow.client import schedule as schedules
from kubeflow.client import submit as uploads
from kubeflow.client.api import Api, connect
from kubeflow.client.cron import check_cron, check_time_zone
from kubeflow.client.follow import follow
from kubeflow.spec.cluster import Cluster, load_cluster
from kubeflow.spec.parameters import Parameters, pipeline_config
from trainer.errors import UserError
from trainer.interrupt import interruptible


def compile_pipeline(options: argparse.Namespace) -> int:
    """Writes the compiled pipeline."""
    cluster = load_cluster(options.cluster)
    folder = os.path.dirname(os.path.abspath(options.output))
    if not os.path.isdir(folder) or not options.output.endswith((".yaml", ".yml")):
        raise UserError(f"--output {options.output}: expected the name of a YAML file in a folder that exists")
    uploads.write_package(options.output, cluster)
    print(f"Written: {options.output}")
    return 0


def submit(options: argparse.Namespace) -> int:
    """Starts a run, and follows it if that is wished."""
    cluster = load_cluster(options.cluster)
    parameters = run_parameters(options.params, cluster)
    with interruptible():
        api = _connect(options, cluster)
        uploads.find_pipeline(api)  # what is wrong with login or address is known at once
        with uploads.compiled(cluster) as package:
            version = uploads.upload(api, package)
        experiment = uploads.experiment_id(api, options.experiment)
        run = uploads.start(api, version, experiment, parameters, cluster.service_account)
        print(f"Version {version.name}\nRun {api.url(run)}", flush=True)
        return follow(api, run, package.nodes) if options.wait else 0


def schedule(options: argparse.Namespace) -> int:
    """Creates, replaces, shows or changes schedules."""
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
        schedules.named(api, options.name)  # what is wrong with it, or with login or address, is known at once
        with uploads.compiled(cluster) as package:
            version = uploads.upload(api, package)
        experiment = uploads.experiment_id(api, options.experiment)
        wanted = schedules.Schedule(options.name, cron, version, experiment, parameters, cluster.service_account)
        done = schedules.replace(api, wanted)
    what = "unchanged" if done.unchanged else "scheduled"
    print(f"{options.name}: {what}, {cron} in {cluster.time_zone}, version {version.name}")
    if done.busy:
        print(f"Its predecessor is disabled, and stays until the next call for its run: {_urls(api, done.busy)}")
    return 0


def _change(options: argparse.Namespace, api: Api) -> None:
    name = options.pause or options.resume or options.delete
    runs = schedules.named(api, name)
    if not runs:
        raise UserError(f"no schedule {name} in namespace {api.namespace}; --list shows those there are")
    if options.resume:
        schedules.resume(api, runs)
        print(f"{name}: enabled")
    elif options.pause:
        for run in runs:
            schedules.switch(api, run, False)
        print(f"{name}: paused")
    elif busy := [run for old in runs for run in schedules.remove(api, old)]:
        print(f"{name}: paused; delete it when its run has ended, which Kubernetes might stop: {_urls(api, busy)}")
    else:
        print(f"{name}: deleted")


def _print_table(api: Api, cluster: Cluster) -> None:
    runs = schedules.listed(api)
    if not runs:
        print(f"No schedule in namespace {api.namespace}")
        return
    versions = uploads.versions(api, runs[0].pipeline_version_reference.pipeline_id)
    newest = {run.display_name: run for run in runs}
    rows = [("name", f"cron ({cluster.time_zone})", "state", "version", "parameters")]
    for run in runs:
        state = "enabled" if run.mode == "ENABLE" else "paused" if run is newest[run.display_name] else "replaced"
        version = run.pipeline_version_reference.pipeline_version_id
        given = " ".join(f"{name}={_text(value)}" for name, value in _changed(schedules.parameters_of(run)).items())
        rows.append((run.display_name, schedules.cron_of(run), state, versions.get(version, version), given))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _connect(options: argparse.Namespace, cluster: Cluster) -> Api:
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


def _urls(api: Api, runs: Sequence[str]) -> str:
    return ", ".join(api.url(run) for run in runs)
