"""One device, two replicas of one process and two processes take the same steps.

Noise, mirroring and batch are the same; only the order of sums differs: each replica sums over its share first, and XLA
forms other loops for half a batch. Numbers therefore agree to a few roundings of float32 (6e-8 each), not to the bit.
After eight steps ELBOs differed by 2e-7 of their size; the limit is 3e-6. Adam divides a gradient by its size and turns
the last bit of a gradient near zero into a part of the learning rate, so weights differed by 6e-6, where a step is up
to 1e-3 or 1e-2; the limit is 5e-5. Evaluations of the same weights agreed to the bit on one processor and to 1e-8 on
another; the limits are 1e-7 and 1e-4 nats, while one image too many changes them by nats. Two replicas sum in the same
order in one process and in two, so the weights of two workers are the same to the bit.
"""

import json

import numpy as np
import pytest
import tensorflow as tf

import replicas
from trainer.evaluate import image_elbo
from trainer.failure import Failure
from trainer.images import to_unit_interval
from trainer.model.build import build
from trainer.shape import Shape
from trainer.workers.job import Job, run_job
from trainer.workers.launch import launch_local

STEPS_RTOL, WEIGHTS_ATOL = 3e-6, 5e-5
EVALUATION = {"rtol": 1e-7, "atol": 1e-4}

pytestmark = pytest.mark.slow
EVERY_CASE = pytest.mark.parametrize("case", replicas.CASES)
EVERY_WAY = pytest.mark.parametrize("way", ["mirrored", "worker 0"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("replicas")


@pytest.fixture(scope="module")
def alone():
    """What one device finds."""
    return replicas.measure(tf.distribute.get_strategy(), at_once=replicas.STEPS)


@pytest.fixture(scope="module")
def job_alone(folder):
    """The model of the job that one process did."""
    return run_job(Job(replicas.JOB, str(folder / "alone"), str(folder / "state-alone")), *replicas.SETS, launch_local)


def run(program, run_forked, *arguments):
    code, said = run_forked(f"import replicas, sys; replicas.{program}(*sys.argv[1:])", *map(str, arguments))
    assert code == 0, said


@pytest.fixture(scope="module")
def job_of_two(folder, run_forked):
    """The weights of the job that two workers did, which leave what they found in the job's folder."""
    run("launch_workers", run_forked, folder)
    return np.load(folder / "trained.npy")


@pytest.fixture(scope="module")
def found(folder, job_of_two, run_forked):
    """What two replicas of one process and each of two workers find."""
    run("mirrored", run_forked, folder / "mirrored.npz")
    paths = {"mirrored": folder / "mirrored.npz"}
    paths |= {f"worker {i}": folder / f"state/job/found-{i}.npz" for i in range(2)}
    return {way: dict(np.load(path)) for way, path in paths.items()}


@EVERY_WAY
@EVERY_CASE
def test_every_step_has_the_elbo_that_it_has_on_one_device(case, way, alone, found):
    expected = alone[f"{case}: ELBO"]
    assert np.ptp(expected) > 100.0, "the images or the weights must matter, or the law is empty"
    np.testing.assert_allclose(found[way][f"{case}: ELBO"], expected, rtol=STEPS_RTOL)


@EVERY_WAY
@EVERY_CASE
def test_the_weights_after_the_steps_are_those_of_one_device(case, way, alone, found):
    np.testing.assert_allclose(found[way][f"{case}: weights"], alone[f"{case}: weights"], rtol=0, atol=WEIGHTS_ATOL)


@EVERY_CASE
def test_two_workers_have_the_same_weights_to_the_bit(case, found):
    for name in (f"{case}: ELBO", f"{case}: weights", f"{case}: evaluation", "trained"):
        np.testing.assert_array_equal(found["worker 0"][name], found["worker 1"][name])


@EVERY_CASE
@pytest.mark.parametrize("way", ["alone", "mirrored", "worker 0", "worker 1"])
def test_an_evaluation_counts_every_image_once(case, way, alone, found):
    model = build(replicas.CASES[case], Shape(32, 32, 3))
    images = replicas.TEST
    each = image_elbo(model, to_unit_interval(images.pixels), tf.constant(images.noise_seeds), 2)
    expected = [np.mean(part, dtype=np.float64) for part in each]
    values = {"alone": alone, **found}[way][f"{case}: evaluation"]
    np.testing.assert_allclose(values, expected, **EVALUATION)


def test_two_workers_end_a_job_as_one_process_does(folder, job_alone, job_of_two):
    alone, both = (json.loads((folder / name / "history.json").read_text()) for name in ("alone", "work"))
    assert both["best_epoch"] == alone["best_epoch"]
    error = STEPS_RTOL * abs(alone["test"]["elbo"])  # the gain is a difference of ELBOs
    assert both["quality"] == pytest.approx(alone["quality"], rel=STEPS_RTOL, abs=error)
    assert both["test"] == pytest.approx(alone["test"], rel=STEPS_RTOL)
    for one, other in zip(alone["epochs"], both["epochs"], strict=True):
        assert other["train_elbo"] == pytest.approx(one["train_elbo"], rel=STEPS_RTOL)
        for images in ("held_out", "test"):
            assert other[images] == pytest.approx(one[images], rel=STEPS_RTOL)
    np.testing.assert_allclose(job_of_two, replicas.flat(job_alone), rtol=0, atol=WEIGHTS_ATOL)


def test_the_model_of_two_workers_is_what_both_of_them_have(job_of_two, found):
    np.testing.assert_array_equal(job_of_two, found["worker 0"]["trained"])


def test_only_the_chief_writes(folder, job_of_two):
    names = sorted(path.name.split(".")[0] for path in (folder / "work").iterdir())
    assert names == ["events", "history"]
    assert (folder / "state/record").exists()
    assert not (folder / "state/record-1").exists()
    assert not [*folder.glob("state/job/weights-1*")]


def test_a_worker_has_the_rows_of_its_replica_and_no_others(found):
    expected = np.array([[[0, 10], [40, 50]], [[20, 30], [60, 70]]])  # of the rows 0..3 and 4..7, each ten times itself
    np.testing.assert_array_equal(found["mirrored"]["shares"], expected)
    assert sorted(found["mirrored"]["announced"]) == list(range(8))
    for i in range(2):
        np.testing.assert_array_equal(found[f"worker {i}"]["shares"], expected[i : i + 1])
        np.testing.assert_array_equal(10 * found[f"worker {i}"]["announced"], expected[i].ravel())


def test_a_stop_that_one_worker_asks_for_is_seen_by_all(alone, found):
    assert not any(alone["stopped"])
    assert not any(found["mirrored"]["stopped"])
    assert all(found["worker 0"]["stopped"])
    assert all(found["worker 1"]["stopped"])


def test_workers_that_differ_are_told_so_and_those_that_agree_are_not(found):
    for i in range(2):
        agreed, differed = found[f"worker {i}"]["complaints"]
        assert not agreed
        assert Failure.from_json(str(differed)).value == 7 + i


def test_replicas_of_other_numbers_differ_even_if_this_one_has_their_mean(found):
    assert Failure.from_json(str(found["mirrored"]["complaints"][2])).value == 2


def test_what_does_not_divide_over_the_replicas_is_refused(found):
    complaints = [Failure.from_json(str(text)) for text in found["mirrored"]["complaints"][:2]]
    assert [(failure.sentence, failure.value) for failure in complaints] == [("free_bits", 0.1), ("batch_size", 7)]
