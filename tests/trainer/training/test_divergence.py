"""A run whose numbers come apart stops: it names the step and the last good checkpoint, and leaves no model."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import tensorflow as tf

import trainer.__main__
import trainer.training.loop
from trainer.errors import UserError
from trainer.settings import TrainConfig
from trainer.training.loop import train_and_evaluate
from trainer.training.step import StepsResult, TrainStep

CONFIG = TrainConfig(
    hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=2, eval_samples=2, schedule="constant"
)
IMAGES = 310  # 38 steps an epoch, as calls of 16, 16 and 6


@pytest.fixture(scope="module")
def data(make_images):
    return make_images(IMAGES, seed=1), make_images(30, seed=2)


@pytest.fixture
def fail(data, tmp_path):
    """Runs a training that comes apart; returns step, epoch and any ELBO that its message names, and the checkpoint."""

    def start(checkpoint_minutes=0.0, **settings):
        with pytest.raises(UserError) as error:
            train_and_evaluate(
                dataclasses.replace(CONFIG, **settings), *data, str(tmp_path), checkpoint_minutes=checkpoint_minutes
            )
        message = str(error.value)
        folder = re.escape(f"{tmp_path}/checkpoints")
        pattern = (
            rf"at step (\d+) \(epoch (\d)\) (?:the ELBO is (\S+) nats|a weight, or a moment of it in Adam, is) .*"
            rf"another --output for that, or {folder} removed\. .* the last good checkpoint is (\S+)$"
        )
        step, epoch, elbo, path = re.fullmatch(pattern, message).groups()
        assert not (tmp_path / "history.json").exists()
        return int(step), int(epoch), elbo, path

    return start


@pytest.fixture
def poison(monkeypatch):
    """Gives a weight, or a moment of it, a value after the call of that first step."""

    def poison_after(step, value, part="weights"):
        class Poisoned(TrainStep):
            def __init__(self, strategy, config, model, optimizer, steps_per_epoch):
                super().__init__(strategy, config, model, optimizer, steps_per_epoch)
                variables = {"weights": model.trainable_variables, "square": optimizer.square}[part]
                self.variable = next(v for v in variables if v.shape == [3072])  # the bias of the logits

            def __call__(self, pixels, rows, first, stop=False):
                result = super().__call__(pixels, rows, first, stop)
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
    assert fail() == (32, 1, None, f"{tmp_path}/checkpoints/step-000000016")
    (only,) = (tmp_path / "checkpoints").iterdir()
    assert is_finite(only)


def test_a_checkpoint_whose_next_elbo_explodes_is_not_a_good_one(fail, poison, tmp_path):
    poison(16, 1e7)
    step, epoch, elbo, path = fail()
    assert (step, epoch, path) == (33, 1, f"{tmp_path}/checkpoints/step-000000016")
    assert -math.inf < float(elbo) < trainer.training.loop.EXPLODED
    assert is_finite(path)
    assert fail() == (33, 1, elbo, path), "the same run again goes the same way"


def test_a_step_that_is_not_finite_ends_the_run_where_nothing_was_saved_yet(fail, poison):
    poison(38, math.nan)
    assert fail(checkpoint_minutes=math.inf) == (55, 2, "nan", "none")


@pytest.mark.parametrize("bad", [math.nan, -math.inf, 1.01 * trainer.training.loop.EXPLODED])
def test_the_step_is_named_by_its_number(bad, fail, monkeypatch, tmp_path):
    elbos = iter([np.full(16, -2000.0), np.array([0.99 * trainer.training.loop.EXPLODED] * 5 + [bad] * 11)])
    monkeypatch.setattr(TrainStep, "__call__", lambda *_: StepsResult(next(elbos), False))
    step, _, elbo, path = fail()
    assert (step, path) == (22, f"{tmp_path}/checkpoints/step-000000016")
    np.testing.assert_allclose(float(elbo), bad, rtol=1e-3)


@pytest.mark.parametrize("value", [math.nan, -1e7])
def test_an_epoch_whose_held_out_elbo_is_bad_ends_the_run(value, fail, poison):
    poison(32, value)
    step, epoch, elbo, path = fail(checkpoint_minutes=math.inf)
    assert (step, epoch, path) == (38, 1, "none")
    assert not float(elbo) > trainer.training.loop.EXPLODED


def test_a_learning_rate_that_is_far_too_high_ends_the_program_without_a_model(
    data, tmp_path, png, example, write_records, capsys
):
    for split, images in zip(("train", "test"), data, strict=True):
        write_records(tmp_path / split, [example(png(image), f"{i}") for i, image in enumerate(images.pixels)])
    (tmp_path / "config").write_text(json.dumps({**CONFIG.to_dict(), "learning_rate": 0.99, "hidden_size": 256}))
    paths = [word for name in ("train", "test", "config", "output") for word in (f"--{name}", str(tmp_path / name))]
    assert trainer.__main__.main(paths) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("trainer: "))
    assert re.search(r"at step \d+ \(epoch \d\) .*lower the learning rate \(it was 0.99\)", line)
    assert not (tmp_path / "output" / "model").exists()
    assert not (tmp_path / "output" / "history.json").exists()
