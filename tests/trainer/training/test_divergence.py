"""A run that diverges stops: it names the step and the last good checkpoint, and leaves no model."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

import trainer.__main__
import trainer.training.loop
from trainer.errors import UserError
from trainer.failure import FILE, left
from trainer.presets import PRESETS
from trainer.settings import TrainConfig
from trainer.training.loop import train_and_evaluate
from trainer.training.step import StepsResult, TrainStep

CONFIG = TrainConfig(
    hidden_size=8,
    latent_size=2,
    iaf_steps=0,
    batch_size=8,
    epochs=2,
    eval_samples=2,
    schedule="constant",
    importance_samples=0,
)
EXPLODED = trainer.training.loop.EXPLODED * 32 * 32 * 3  # nats per image
IMAGES = 310  # 38 steps an epoch, as calls of 16, 16 and 6


@pytest.fixture(scope="module")
def data(make_images):
    return make_images(IMAGES, seed=1), make_images(30, seed=2)


@pytest.fixture
def fail(data, tmp_path):
    """Runs a training that diverges at that step, counted from 1, and returns the value that its failure shows."""

    def start(step, epoch, good, checkpoint_percent=100.0):
        with pytest.raises(UserError) as error:
            train_and_evaluate(CONFIG, *data, str(tmp_path), checkpoint_percent=checkpoint_percent)
        failure = error.value.failure
        assert f"step {step} (epoch {epoch})" in failure.sentence
        newest = tmp_path / f"checkpoints/step-{good:09d}" if good else "none"
        assert failure.remedy.endswith(f" is {newest}")
        assert not (tmp_path / "history.json").exists()
        return failure.value

    return start


@pytest.fixture
def poison(monkeypatch):
    """Gives a weight, or a moment of it, a value after the call of that first step; the steps may be idle."""

    def poison_after(step, value, part="weights", idle=True):
        class Poisoned(TrainStep):
            def __init__(self, strategy, config, model, optimizer, steps_per_epoch):
                super().__init__(strategy, config, model, optimizer, steps_per_epoch)
                variables = {"weights": model.trainable_variables, "square": optimizer.square}[part]
                self.variable = next(v for v in variables if v.shape == [3072])  # the bias of the logits

            def __call__(self, pixels, rows, first, stop=False):
                well = StepsResult(np.full(len(rows), -2000.0), stop)
                result = well if idle else super().__call__(pixels, rows, first, stop)
                if first == step:
                    self.variable.assign(tf.fill(self.variable.shape, value))
                return result

        monkeypatch.setattr(trainer.training.loop, "TrainStep", Poisoned)

    return poison_after


def is_finite(path):
    reader = tf.train.load_checkpoint(f"{path}/data/state")
    arrays = [np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()]
    return all(np.all(np.isfinite(array)) for array in arrays if array.dtype == np.float32)


@pytest.mark.parametrize("part", ["weights", "square"])
def test_what_is_not_finite_is_never_saved(part, fail, poison, tmp_path):
    poison(16, math.inf, part)
    fail(32, 1, good=16)
    (only,) = (tmp_path / "checkpoints").iterdir()
    assert is_finite(only)


def test_a_checkpoint_whose_next_elbo_explodes_is_not_a_good_one(fail, poison, tmp_path):
    poison(16, 1e7, idle=False)
    elbo = fail(33, 1, good=16)
    assert -math.inf < elbo < EXPLODED
    assert is_finite(tmp_path / "checkpoints/step-000000016")
    assert fail(33, 1, good=16) == elbo, "the same run again takes the same course"


def test_a_step_that_is_not_finite_ends_the_run_where_nothing_was_saved_yet(fail, poison):
    poison(0, math.nan, idle=False)
    assert math.isnan(fail(17, 1, good=None, checkpoint_percent=0.0))


@pytest.mark.parametrize("bad", [math.nan, -math.inf, 1.01 * EXPLODED])
def test_the_step_is_named_by_its_number(bad, fail, monkeypatch):
    elbos = iter([np.full(16, -2000.0), np.array([0.99 * EXPLODED] * 5 + [bad] * 11)])
    monkeypatch.setattr(TrainStep, "__call__", lambda *_: StepsResult(next(elbos), False))
    np.testing.assert_allclose(fail(22, 1, good=16), bad)


@pytest.mark.parametrize("value", [math.nan, -1e7])
def test_an_epoch_whose_held_out_elbo_is_bad_ends_the_run(value, fail, poison):
    poison(32, value)
    assert not fail(38, 1, good=None, checkpoint_percent=0.0) > EXPLODED


def test_a_step_that_is_not_finite_after_an_epoch_leaves_the_epochs_checkpoint(fail, poison):
    poison(38, math.nan, idle=False)
    assert math.isnan(fail(55, 2, good=38, checkpoint_percent=0.0))


def test_a_learning_rate_that_is_far_too_high_ends_the_program_without_a_model(
    data, tmp_path, png, example, write_records, capsys, monkeypatch
):
    for split, images in zip(("train", "test"), data, strict=True):
        write_records(tmp_path / split, [example(png(image), f"{i}") for i, image in enumerate(images.pixels)])
    monkeypatch.setitem(PRESETS, "far", dataclasses.replace(CONFIG, learning_rate=0.99, hidden_size=256))
    paths = [word for name in ("train", "test", "output") for word in (f"--{name}", str(tmp_path / name))]
    assert trainer.__main__.main([*paths, "--preset", "far"]) == 2
    failure = left(str(tmp_path / "output" / FILE))
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("trainer: ")] == [
        f"trainer: {failure}"
    ]
    assert "0.99" in failure.remedy
    assert not (tmp_path / "output" / "model").exists()
    assert not (tmp_path / "output" / "history.json").exists()
