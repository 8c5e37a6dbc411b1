"""What a cluster must do with the pipeline, one check a line: `make test-cluster`, and in `make test` with emulators.

The checks build on one another, as the days of a schedule do, and share runs where they can.
"""

import re

import pytest
from lineage import PROGRAM as LINEAGE
from runs import ACCOUNT

from kubeflow.client import schedule
from kubeflow.spec.contract import PAGES
from kubeflow.spec.parameters import parameters
from pipeline.words import BAD_INPUT, FAILED, PUSHED, REFUSED

pytestmark = pytest.mark.slow


def test_the_doctor_finds_nothing_wrong(world):
    code, console = world.doctor()
    assert code == PUSHED, console


def test_the_smoke_run_pushes_a_model(pushed):
    _, end = pushed
    assert end.code == PUSHED, end.console


def test_the_pods_of_a_run_have_the_account_that_was_asked_for(runs, pushed):
    run, _ = pushed
    assert {pod["spec"]["serviceAccountName"] for pod in runs.pods(run)} == {ACCOUNT}


def test_a_page_is_shown(world, needs, pushed):
    needs("ui")
    run, _ = pushed
    page = world.ui.page(run, PAGES["Evaluator"])
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "<script" not in page


def test_the_numbers_are_shown(world, needs, pushed):
    needs("ui")
    run, _ = pushed
    assert world.ui.metrics(run)["elbo_nats_per_image"] < 0


def test_the_lineage_leads_from_the_pushed_model_to_the_images(runs, pushed):
    run, _ = pushed
    found = runs.inside(LINEAGE, run)
    assert all(found["linked"]), found


def test_a_run_with_all_fields_of_the_form_and_kubeflow_s_account_takes_from_the_cache(runs, pushed):
    form = {name: found.default for name, found in parameters().items()}
    _, end = runs.ended("", **{**form, **runs.world.small})
    assert end.code == PUSHED, end.console


def test_a_bound_that_refuses_is_exit_code_3(runs, pushed):
    _, end = runs.ended(min_elbo="-1")
    assert end.code == REFUSED, end.console
    assert "-1.00" in end.console


def test_bad_input_is_exit_code_2_with_the_sentence_of_the_node(runs):
    _, end = runs.ended(dataset="no_such_data_set")
    assert end.code == BAD_INPUT, end.console
    assert "no_such_data_set" in end.console


def test_a_task_whose_pod_is_deleted_resumes_from_its_checkpoint(world, runs):
    run = runs.start(**world.long, seed=1)
    world.kube.delete_pod(runs.says(run, r"epoch 3/"))
    end = runs.end(run)
    assert end.code == PUSHED, end.console
    assert "resuming after step" in runs.log_of(run)


def test_a_database_that_is_away_at_the_start_and_at_the_end_of_a_node_is_waited_for(world, runs, needs):
    needs("database")
    world.set_database(False)
    run = runs.start(**world.long, seed=2)
    runs.says(run, r"waiting up to")
    world.wait_for(world.away_seconds)
    world.set_database(True)
    last = world.long["epochs"]
    runs.says(run, rf"epoch {last}/{last}")
    world.set_database(False)
    world.wait_for(world.away_seconds)
    world.set_database(True)
    end = runs.end(run)
    assert end.code == PUSHED, end.console
    log = runs.log_of(run)
    assert len(re.findall(r"waiting up to", log)) > 1
    assert len(re.findall(r"epoch 1/", log)) == 1, "trained once"


@pytest.fixture(scope="module")
def over_two(world, runs):
    """A training over two workers, one of which was deleted in its third epoch: id, end and log of its tasks."""
    run = runs.start(**world.long, seed=3, workers=2)
    trainer = runs.says(run, r"epoch 3/")
    lost = runs.workers()[-1]["metadata"]["name"]
    world.kube.delete_pod(lost)
    end = runs.end(run)
    return run, end, runs.log(trainer)


def test_two_workers_train_and_a_lost_one_is_replaced(over_two):
    _, end, _ = over_two
    assert end.code == PUSHED, end.console


def test_a_lost_worker_saves_its_step_and_all_resume_from_it(over_two):
    *_, log = over_two
    step, of = map(int, re.findall(r"resuming after step (\d+) of (\d+)", log)[-1])
    assert 0 < step < of


def test_workers_find_each_other_by_the_names_of_the_service(over_two, needs):
    needs("names")
    _, end, _ = over_two
    assert end.code == PUSHED, end.console


def test_the_job_and_the_service_of_a_training_are_removed_at_its_end(runs, over_two):
    assert runs.jobs() == []


def test_nothing_of_a_terminated_run_stays(world, runs):
    run = runs.start(**world.long, seed=4, workers=2)
    runs.says(run, r"epoch 2/")
    runs.terminate(run)
    end = runs.end(run)
    assert end.code == FAILED, end.console

    def left():
        running = [pod for pod in runs.pods(run) if pod["status"]["phase"] == "Running"]
        return runs.jobs() + runs.workers() + running

    world.wait("that nothing runs", lambda: not left(), 90)


def test_a_schedule_fires(world, runs, pushed):
    name = "vaeiaf-acceptance"
    wanted = schedule.recurring_run(name, "0 * * * * *", runs.version, runs.experiment, world.small, ACCOUNT)
    schedule.replace(world.api, wanted)
    try:
        (made,) = schedule.named(world.api, name)
        run = world.wait("a run of the schedule", lambda: runs.of_schedule(made.recurring_run_id), 180)
        end = runs.end(run)
        assert end.code == PUSHED, end.console
    finally:
        for one in schedule.named(world.api, name):
            schedule.remove(world.api, one)
    assert schedule.named(world.api, name) == []
