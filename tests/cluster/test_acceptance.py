"""What a cluster must do with the pipeline, one check a line: `make test-cluster`, and in `make test` with emulators.

The checks build on one another, as the days of a schedule do, and share runs.
"""

import re

import pytest
from lineage import PROGRAM as LINEAGE
from runs import ACCOUNT

from kubeflow.client import schedule
from kubeflow.spec.contract import PAGES
from kubeflow.spec.parameters import checked, parameters
from trainer.exit_codes import BAD_INPUT, DONE, FAILED, REFUSED

pytestmark = pytest.mark.slow

SCHEDULE = "vaeiaf-acceptance"
EPOCH = r"\bepoch {}/"  # in the log of a training


def test_the_doctor_finds_nothing_wrong(world):
    code, console = world.doctor()
    assert code == DONE, console


@pytest.fixture(scope="module")
def smoke(runs):
    """A first run: its id and its end."""
    return runs.ended()


def test_the_smoke_run_pushes_a_model(smoke):
    _, end = smoke
    assert end.code == DONE, end.console


def test_the_pods_of_a_run_have_the_account_that_was_asked_for(runs, smoke):
    run, _ = smoke
    assert {pod["spec"]["serviceAccountName"] for pod in runs.pods(run)} == {ACCOUNT}


def test_a_page_is_shown(world, needs, smoke):
    needs("ui")
    run, _ = smoke
    page = world.ui.page(run, PAGES["Report"])
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "<script" not in page


def test_the_numbers_are_shown(world, needs, smoke):
    needs("ui")
    run, _ = smoke
    assert world.ui.metrics(run)["elbo_nats_per_image"] < 0


def test_the_lineage_leads_from_the_pushed_model_to_the_images(runs, smoke):
    run, _ = smoke
    found = runs.inside(LINEAGE, run)
    assert all(found["linked"]), found


@pytest.fixture(scope="module")
def scheduled(world, runs, smoke):
    """The run that a schedule has started, with a bound that no model reaches: its id and its end."""
    values = checked({**world.small, "min_elbo": "-1"})
    wanted = schedule.recurring_run(SCHEDULE, "0 * * * * *", runs.version, runs.experiment, values, ACCOUNT)
    schedule.replace(world.api, wanted)
    try:
        (made,) = schedule.named(world.api, SCHEDULE)
        run = world.wait("a run of the schedule", lambda: runs.of_schedule(made.recurring_run_id), 180)
        schedule.switch(world.api, made, False)  # a second run would keep it from being deleted
        return run, runs.end(run)
    finally:
        for one in schedule.named(world.api, SCHEDULE):
            schedule.remove(world.api, one)


def test_a_schedule_fires_and_can_be_deleted(world, scheduled):
    assert schedule.named(world.api, SCHEDULE) == []


def test_a_run_takes_from_the_one_before_what_has_not_changed(runs, scheduled):
    run, _ = scheduled
    assert not re.search(EPOCH.format(r"\d+"), runs.log_of(run))


def test_a_bound_that_refuses_is_exit_code_3(scheduled):
    _, end = scheduled
    assert end.code == REFUSED, end.console
    assert "-1.00" in end.console


def test_bad_input_is_exit_code_2_with_the_sentence_of_the_task(runs):
    _, end = runs.ended(dataset="no_such_data_set")
    assert end.code == BAD_INPUT, end.console
    assert "no_such_data_set" in end.console


@pytest.fixture(scope="module")
def disturbed(world, runs, smoke):
    """A run that loses the database at its start, the pod of its training, and the database as the training ends.

    Where the database cannot be taken away, it loses the pod. Its end, and the log of its tasks.
    """
    last, away = world.long["epochs"], "database" not in world.lacks
    if away:
        world.set_database(False)
    run = runs.start(**world.long, seed=1)
    if away:
        world.pass_time(world.away_seconds)
        world.set_database(True)
    world.kube.delete_pod(runs.says(run, EPOCH.format(3)))
    if away:
        ends = rf"{EPOCH.format(last)}{last}\b"
        runs.says(run, ends)
        world.set_database(False)
        runs.says(run, rf"(?s){ends}.*waiting up to")
        world.pass_time(world.away_seconds)
        world.set_database(True)
    return runs.end(run), runs.log_of(run)


def test_a_training_whose_pod_is_deleted_resumes_from_its_checkpoint(disturbed):
    end, log = disturbed
    assert end.code == DONE, end.console
    assert "resuming after step" in log


def test_a_database_that_is_away_at_the_start_and_as_a_training_ends_is_waited_for(needs, disturbed):
    needs("database")
    end, log = disturbed
    assert end.code == DONE, end.console
    assert log.count("waiting up to") > 1
    epochs = re.findall(EPOCH.format(r"(\d+)"), log)
    assert len(epochs) == len({*epochs}), "none was trained twice"


@pytest.fixture(scope="module")
def two_workers(world, runs, smoke):
    """A run from the UI's form, with Kubeflow's account, over two workers, one of which is deleted: end and log."""
    form = {name: found.default for name, found in parameters().items()}
    run = runs.start("", **{**form, **world.small, **world.long, "seed": 2, "workers": 2})
    trainer = runs.says(run, EPOCH.format(3))
    world.kube.delete_pod(runs.workers()[-1]["metadata"]["name"])
    return runs.end(run), runs.log(trainer)


def test_a_run_with_all_fields_of_the_form_trains_over_two_workers(two_workers):
    end, _ = two_workers
    assert end.code == DONE, end.console


def test_a_deleted_worker_saves_its_step_and_all_resume_from_it(two_workers):
    _, log = two_workers
    step, of = map(int, re.findall(r"resuming after step (\d+) of (\d+)", log)[-1])
    assert 0 < step < of


def test_workers_find_each_other_by_the_names_of_the_service(two_workers, needs):
    needs("names")
    end, _ = two_workers
    assert end.code == DONE, end.console


def test_the_job_and_the_service_of_a_training_are_removed_at_its_end(world, runs, two_workers):
    world.wait("no Job and no Service", lambda: not runs.jobs(), 60)


def test_nothing_of_a_terminated_run_stays(world, runs, smoke):
    run = runs.start(**world.long, seed=3, workers=2)

    def both_run():
        return [pod["status"]["phase"] for pod in runs.workers()].count("Running") == 2

    world.wait("two workers", both_run, world.patience)
    runs.terminate(run)
    end = runs.end(run)
    assert end.code == FAILED, end.console
    assert "TERMINATED" in end.console

    def left():
        running = [pod for pod in runs.pods(run) if pod["status"]["phase"] == "Running"]
        return runs.jobs() + runs.workers() + running

    world.wait("that nothing runs", lambda: not left(), 90)
