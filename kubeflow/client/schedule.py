"""Recurring runs: one per name, enabled or paused, of a pinned version of the pipeline.

A recurring run starts one run at a time, and a run with unchanged data, code and parameters takes its training from
TFX's cache. So a time that fires twice trains and pushes once, except with warm_start, which resumes from the push.
"""

from collections.abc import Mapping
from typing import Any

import kfp_server_api

from kubeflow.client.api import Api, where
from kubeflow.client.submit import PIPELINE, Version, find_pipeline
from trainer.errors import UserError

PATIENCE = 30.0  # seconds of further attempts, because a replacement must not stop half-way
UNFINISHED = ("PENDING", "RUNNING", "CANCELING", "PAUSED", "RUNTIME_STATE_UNSPECIFIED", None)


def recurring_run(
    name: str, cron: str, version: Version, experiment: str, parameters: Mapping[str, Any], account: str
) -> Any:
    """Returns a recurring run as the API describes it, disabled.

    Args:
      name: of the schedule.
      cron: six fields, the first is seconds.
      version: of the pipeline.
      experiment: its id.
      parameters: the given ones; the others have the version's defaults.
      account: service account of its runs; empty: Kubeflow's choice.
    """
    return kfp_server_api.V2beta1RecurringRun(
        display_name=name,
        experiment_id=experiment,
        mode=kfp_server_api.RecurringRunMode.DISABLE,
        pipeline_version_reference=version.reference,
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(parameters)),
        service_account=account,
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=cron)),
        no_catchup=True,
        max_concurrency="1",
    )


def replace(api: Api, wanted: Any) -> tuple[bool, list[str]]:
    """Makes the recurring run `wanted` the only enabled one of its name.

    Creates the new one disabled, enables it, and only then disables and deletes the old ones. So one stays enabled,
    whatever fails: two at once may cost a second training, but none would keep an old model in service unnoticed. The
    next call cleans up after an interrupted one.

    Returns:
      Whether it was there already, and the ids of unfinished runs, whose predecessors stay, disabled.

    Raises:
      ApiError: a request failed.
      UserError: the name belongs to another pipeline.
    """
    present = named(api, wanted.display_name)
    kept = next((run for run in present if run.mode == "ENABLE" and _same(run, wanted)), None)
    if not kept:
        call = api.client.recurring_runs.recurring_run_service_create_recurring_run
        switch(api, api.ask("create the schedule", call, wanted), True)
    return bool(kept), [busy for old in present if old is not kept for busy in remove(api, old)]


def named(api: Api, name: str) -> list[Any]:
    """Returns our recurring runs of this name, the newest last: several while a predecessor waits for its run.

    Raises:
      UserError: the name belongs to another pipeline.
    """
    present = _recurring(api, filter=where("display_name", name))
    pipeline = find_pipeline(api)
    if any(_pipeline(run) != pipeline for run in present):
        sentence = f"namespace {api.namespace} has a recurring run {name} of another pipeline than {PIPELINE}"
        raise UserError(sentence, value=name, remedy="Choose another name, or delete it in the UI")
    return present


def listed(api: Api) -> list[Any]:
    """Returns all recurring runs of our pipeline in the namespace, sorted by name, the newest of a name last."""
    pipeline = find_pipeline(api)
    return sorted((run for run in _recurring(api) if _pipeline(run) == pipeline), key=lambda run: run.display_name)


def resume(api: Api, runs: list[Any]) -> None:
    """Enables the newest of these recurring runs and disables the others."""
    switch(api, runs[-1], True)
    for old in runs[:-1]:
        switch(api, old, False)


def switch(api: Api, run: Any, enabled: bool) -> None:
    """Enables or disables a recurring run. Of the times missed meanwhile, Kubeflow catches up on the last one."""
    verb = "enable" if enabled else "disable"
    call = getattr(api.client.recurring_runs, f"recurring_run_service_{verb}_recurring_run")
    api.ask(f"{verb} the schedule", call, run.recurring_run_id, patience=PATIENCE)


def remove(api: Api, old: Any) -> list[str]:
    """Disables the recurring run, and deletes it if all its runs have finished. Returns the ids of unfinished ones.

    Kubernetes deletes the workflows of a recurring run with it, which stops them. The propagation policy prevents that,
    also for a run too young to be listed, but Kubeflow before 2.16 ignores it.
    """
    switch(api, old, False)
    call = api.client.runs.run_service_list_runs
    keywords = {"namespace": api.namespace, "filter": where("recurring_run_id", old.recurring_run_id)}
    runs = api.every("look for runs of the schedule", call, "runs", patience=PATIENCE, **keywords)
    busy = [run.run_id for run in runs if run.state in UNFINISHED]
    if not busy:
        call = api.client.recurring_runs.recurring_run_service_delete_recurring_run
        api.ask("delete the schedule", call, old.recurring_run_id, propagation_policy="ORPHAN", patience=PATIENCE)
    return busy


def _recurring(api: Api, **keywords: Any) -> list[Any]:
    call = api.client.recurring_runs.recurring_run_service_list_recurring_runs
    found = api.every("list the schedules", call, "recurring_runs", namespace=api.namespace, **keywords)
    return sorted(found, key=lambda run: run.created_at)


def _same(run: Any, wanted: Any) -> bool:
    """Tells whether `run` is what `wanted` asks for."""
    return (
        _version(run) == _version(wanted)
        and run.experiment_id == wanted.experiment_id
        and cron_of(run) == cron_of(wanted)
        and parameters_of(run) == parameters_of(wanted)
        and wanted.service_account in ("", run.service_account)  # Kubeflow records its own choice
        and run.no_catchup is True
        and run.max_concurrency == "1"
    )


def cron_of(run: Any) -> str:
    """Returns the cron expression of a recurring run; empty if it has another trigger."""
    schedule = run.trigger and run.trigger.cron_schedule
    return (schedule and schedule.cron) or ""


def parameters_of(run: Any) -> Mapping[str, Any]:
    """Returns the given parameters of a recurring run."""
    return (run.runtime_config and run.runtime_config.parameters) or {}


def _version(run: Any) -> str:
    return run.pipeline_version_reference.pipeline_version_id


def _pipeline(run: Any) -> str | None:
    return run.pipeline_version_reference.pipeline_id if run.pipeline_version_reference else None
