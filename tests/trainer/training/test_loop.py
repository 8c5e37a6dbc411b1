"""A run is a function of its config and data, learns, ignores the test set in its choices, and leaves a record."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import trainer.images
import trainer.training.loop
import trainer.training.step
from trainer.errors import UserError
from trainer.evaluate import Evaluator, MeanELBO, evaluate_latents, quality
from trainer.images import ImageSet, hold_out, pixel_model, to_unit_interval
from trainer.model.build import build
from trainer.model.likelihoods import Bernoulli, DiscretizedLogistic, GaussianPixels
from trainer.model.objective import draw
from trainer.schema import SettingError
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.storage.atomic import remove
from trainer.storage.rows import TemporaryArray
from trainer.training.checkpoint import Checkpoints
from trainer.training.loop import steps_per_call, train_and_evaluate
from trainer.training.step import StepsResult

RESNETS = {"encoder": "GaussianResNet", "decoder": "BernoulliResNet", "channels": 4}


@pytest.fixture(scope="module")
def train(make_images):
    return make_images(300, seed=1)


@pytest.fixture(scope="module")
def unseen(make_images):
    """The test split, under a name that pytest does not take for a test."""
    return make_images(60, seed=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_config, train, unseen):
    """A run with some settings changed: its result and its folder."""

    def start(images=train, **settings):
        folder = tmp_path_factory.mktemp("run")
        return train_and_evaluate(dataclasses.replace(tiny_config, **settings), images, unseen, str(folder)), folder

    return start


@pytest.fixture(scope="module")
def trained(run):
    return run()


@pytest.fixture
def quick_config(tiny_config):
    """One epoch of two steps, of a model that XLA compiles soon."""
    few = {"batch_size": 128, "epochs": 1, "iaf_steps": 0, "latent_size": 1}
    return lambda **settings: dataclasses.replace(tiny_config, **few | settings)


@pytest.fixture
def quick(tmp_path, quick_config, train, unseen):
    """A run of that config, which leaves no checkpoint for the next run."""

    def start(**settings):
        result = train_and_evaluate(quick_config(**settings), train, unseen, str(tmp_path))
        remove(str(tmp_path / "checkpoints"))
        return result

    return start


def independent_pixels(family, train, unseen):
    return np.mean(family.independent(pixel_model(train)).log_prob(to_unit_interval(unseen.pixels)))


class Watched(TemporaryArray):
    """Images on disk that note what is announced and read."""

    def __init__(self, images):
        super().__init__(images.pixels.shape, "", "")
        self[np.arange(len(images))] = images.pixels
        self.announced, self.read = [], []

    def will_need(self, rows):
        self.announced.append(rows)
        super().will_need(rows)

    def __getitem__(self, rows):
        found = super().__getitem__(rows)
        self.read.append(found if isinstance(rows, slice) else rows)
        return found


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_to_the_bit_from_memory_or_disk_and_another_others(
    run, weights_of, train, monkeypatch
):
    monkeypatch.setattr(trainer.images, "CHUNK_BYTES", 50 * 3072)
    monkeypatch.setattr(trainer.training.loop, "STEPS_PER_CALL", 7)
    disk = ImageSet(Watched(train), train.noise_seeds)
    results = [run(images, epochs=1, iaf_steps=1, seed=seed)[0] for images, seed in ((train, 0), (disk, 0), (train, 1))]
    for weights, again, others in zip(*(weights_of(result.model) for result in results), strict=True):
        np.testing.assert_array_equal(weights, again)
        assert not np.array_equal(weights, others)
    in_memory, on_disk, _ = (result.epochs[0]._replace(seconds=0, images_per_second=0) for result in results)
    assert in_memory == on_disk
    calls = [rows for rows in disk.pixels.read if rows.ndim == 2]
    assert [rows.shape for rows in calls] == [(7, 16), (7, 16), (2, 16)]
    assert [*map(str, disk.pixels.announced)] == [*map(str, calls[1:]), str(np.zeros([0, 16], int))]
    assert max(rows.shape[0] for rows in disk.pixels.read if rows.ndim != 2) <= 50, "never all of them"


def test_the_elbo_rises_and_beats_the_best_model_that_ignores_the_image(trained, train, unseen):
    result, _ = trained
    assert result.epochs[-1].test.elbo > result.epochs[0].test.elbo
    assert result.epochs[-1].train_elbo > result.epochs[0].train_elbo
    assert result.test.elbo > independent_pixels(Bernoulli, train, unseen) + 100.0
    assert result.test.elbo < np.mean(Bernoulli.ceiling(to_unit_interval(unseen.pixels)))


def test_a_gaussian_model_without_flow_at_a_constant_rate_learns_too(run, train, unseen):
    result, _ = run(decoder="GaussianMLP", iaf_steps=0, schedule="constant", epochs=6)
    assert result.test.elbo > independent_pixels(GaussianPixels, train, unseen) + 100.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"iaf_steps": 1, "kl_warmup_epochs": 2.0, "free_bits": 0.05, "seed": 1},  # some are stuck at one bit for long
        {"iaf_steps": 1, "objective": "iwae", "train_samples": 3},
        {"iaf_steps": 1, "iaf_layers": 2, "iaf_location_only": True, "clip_norm": 100.0, "warmup_epochs": 1.0},
        {"iaf_steps": 0, "latent_size": 64, "hidden_size": 64, "latent_maps": True, "ema_decay": 0.5} | RESNETS,
    ],
    ids=["relaxed", "iwae", "location-only", "ResNet"],
)
def test_every_recipe_learns(settings, run, train, unseen):
    result, _ = run(**settings)
    assert result.test.elbo > independent_pixels(Bernoulli, train, unseen)


@pytest.mark.slow
def test_a_discretized_logistic_learns_and_has_bits(run, train, unseen, caplog):
    caplog.set_level("INFO")
    result, _ = run(decoder="DiscretizedLogisticMLP", iaf_steps=0, horizontal_flips=True)
    assert result.test.elbo > independent_pixels(DiscretizedLogistic, train, unseen)
    assert f"{-result.test.elbo / (3072 * math.log(2.0)):.3f} bits/dim" in caplog.text


def test_the_result_is_the_model_of_the_best_epoch_with_all_its_draws(trained, tiny_config, unseen):
    result, _ = trained
    held_out = [epoch.held_out.elbo for epoch in result.epochs]
    assert result.best_epoch == 1 + int(np.argmax(held_out))
    np.testing.assert_allclose(Evaluator(result.model, tiny_config.eval_samples)(unseen), result.test, rtol=1e-6)
    np.testing.assert_allclose(Evaluator(result.model, 1)(unseen), result.epochs[result.best_epoch - 1].test, rtol=1e-6)


def test_every_epochs_elbo_is_its_reconstruction_less_its_kl(trained):
    for epoch in trained[0].epochs:
        for part in (epoch.held_out, epoch.test):
            assert part.elbo == pytest.approx(part.reconstruction - part.kl, abs=1e-2)


def test_history_is_the_result_and_its_config_as_json(trained, tiny_config):
    result, folder = trained
    history = json.loads((folder / "history.json").read_text())
    assert TrainConfig(**history["config"]) == tiny_config
    assert history["best_epoch"] == result.best_epoch
    assert history["test"] == result.test._asdict()
    assert history["quality"] is result.quality is None, "nobody asked for importance samples"
    assert [epoch["epoch"] for epoch in history["epochs"]] == list(range(1, tiny_config.epochs + 1))
    for written, epoch in zip(history["epochs"], result.epochs, strict=True):
        assert written["held_out"] == epoch.held_out._asdict()
        assert written["test"] == epoch.test._asdict()
        assert {name: written[name] for name in ("train_elbo", "images_per_second", "seconds")} == {
            name: getattr(epoch, name) for name in ("train_elbo", "images_per_second", "seconds")
        }


@pytest.mark.parametrize("name", ["elbo", "reconstruction", "kl"])
@pytest.mark.parametrize("split", ["held_out", "test"])
def test_tensorboard_shows_every_part_after_every_epoch(split, name, trained):
    result, folder = trained
    events = EventAccumulator(str(folder)).Reload().Tensors(f"{split}/{name}")
    assert [event.step for event in events] == [epoch.epoch for epoch in result.epochs]
    shown = [float(tf.make_ndarray(event.tensor_proto)) for event in events]
    np.testing.assert_allclose(shown, [getattr(getattr(epoch, split), name) for epoch in result.epochs], rtol=1e-6)


class Script:
    """Stands in for the Evaluator: it returns given values and records the weights and images that it sees."""

    def __init__(self, unseen, held_out_elbos, test_elbos):
        self.unseen, self.elbos = unseen, {"held_out": iter(held_out_elbos), "test": iter(test_elbos)}
        self.weights, self.held_out = [], []

    def __call__(self, model, samples, strategy):
        return lambda images: self.evaluate(model, images)

    def evaluate(self, model, images):
        if images is self.unseen:
            return MeanELBO(next(self.elbos["test"], 0.0), 0.0, 0.0)
        self.held_out.append(images)
        self.weights.append([variable.numpy() for variable in model.variables])
        return MeanELBO(next(self.elbos["held_out"]), 0.0, 0.0)


@pytest.mark.parametrize(
    ("held_out", "best"), [((-3.0, -1.0, -2.0), 2), ((-1.0, -2.0, -3.0), 1), ((-3.0, -2.0, -1.0), 3)]
)
def test_the_held_out_elbo_chooses_the_epoch_and_the_test_elbo_never(
    held_out, best, quick, unseen, monkeypatch, weights_of
):
    script = Script(unseen, held_out, [-value for value in held_out])
    monkeypatch.setattr(trainer.training.loop, "Evaluator", script)
    result = quick(epochs=3)
    assert result.best_epoch == best
    for weights, chosen in zip(weights_of(result.model), script.weights[best - 1], strict=True):
        np.testing.assert_array_equal(weights, chosen)
    assert not np.array_equal(script.weights[0][0], script.weights[1][0])


@pytest.mark.slow
def test_with_a_decay_the_averaged_weights_are_evaluated_and_returned(quick, unseen, monkeypatch, weights_of):
    seen = {}
    for decay in (0.0, 0.75):
        script = Script(unseen, [-3.0, -2.0, -1.0], [0.0] * 3)
        monkeypatch.setattr(trainer.training.loop, "Evaluator", script)
        result = quick(batch_size=270, epochs=3, ema_decay=decay)  # one step an epoch
        seen[decay] = script.weights
    mean = seen[0.0][0]
    for step, (trained, averaged) in enumerate(zip(seen[0.0], seen[0.75], strict=True)):
        kept = min(0.75, step / (step + 10))
        mean = [kept * old + (1.0 - kept) * new for old, new in zip(mean, trained, strict=True)]
        for weights, expected in zip(averaged, mean, strict=True):
            np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-7)
    for weights, expected in zip(weights_of(result.model), seen[0.75][2], strict=True):
        np.testing.assert_array_equal(weights, expected)


STILL = {"learning_rate": 1e-30, "schedule": "constant", "latent_size": 8}  # the weights stay what they were


@pytest.fixture
def initial_elbo(quick_config, train):
    """The mean ELBO at the initial weights of the images that are trained on, and the same if all were white."""
    config = quick_config(**STILL)
    rows, _ = hold_out(len(train), config.held_out_fraction, config.seed)
    model, x = build(config, Shape(32, 32, 3)), to_unit_interval(train.pixels[rows])
    eps = tf.random.stateless_normal([50, len(x), config.latent_size], [7, 7])
    shown, white = (np.mean(draw(model, images, eps).elbo().elbo) for images in (x, tf.ones_like(x)))
    assert abs(shown - white) > 2.0
    return shown, white


@pytest.mark.parametrize(
    "settings",
    [{"free_bits": 1000.0, "kl_warmup_epochs": 9.0}, {"objective": "iwae", "train_samples": 10}],
    ids=["relaxed", "iwae"],
)
def test_the_reported_training_elbo_is_the_elbo_whatever_is_minimised(settings, quick, initial_elbo):
    assert quick(**STILL, **settings).epochs[0].train_elbo == pytest.approx(initial_elbo[0], abs=0.5)


def test_what_mirroring_makes_of_the_images_is_trained_on(quick, initial_elbo, monkeypatch):
    monkeypatch.setattr(trainer.training.step, "mirror", lambda pixels, which: 255 * tf.ones_like(pixels))
    assert quick(**STILL, horizontal_flips=True).epochs[0].train_elbo == pytest.approx(initial_elbo[1], abs=0.5)


def test_importance_samples_give_a_closer_look(quick, tiny_config, tmp_path, unseen, caplog):
    caplog.set_level("INFO")
    result = quick(importance_samples=6)
    assert result.quality == quality(
        result.model, unseen, evaluate_latents(result.model, unseen, tiny_config.eval_samples).elbos, 6
    )
    assert json.loads((tmp_path / "history.json").read_text())["quality"] == result.quality._asdict()
    assert "bits/dim" not in caplog.text, "a cross entropy has no bits"


def test_a_batch_larger_than_the_data_is_the_users_error(quick):
    with pytest.raises(SettingError) as error:
        quick(batch_size=271)
    assert (error.value.setting, error.value.failure.value) == ("batch_size", 271)
    assert "270" in error.value.failure.valid


@pytest.fixture
def told(monkeypatch, unseen):
    """Replaces steps and evaluations by given values."""

    def tell(elbos, held_out):
        say = lambda *_: lambda pixels, rows, first, stop: StepsResult(elbos[first : first + len(rows)], stop)  # noqa: E731
        monkeypatch.setattr(trainer.training.loop, "TrainStep", say)
        script = Script(unseen, held_out, held_out)
        monkeypatch.setattr(trainer.training.loop, "Evaluator", script)
        return script

    return tell


def test_a_batch_of_all_the_data_is_taken(quick, told):
    told(np.arange(1.0), [-1.0])
    assert len(quick(batch_size=270).epochs) == 1


def test_no_held_out_image_is_trained_on(quick, told, train, monkeypatch):
    script, trained_on = told(np.arange(27.0), [-1.0]), []
    batches = trainer.training.loop.shuffled_batches
    monkeypatch.setattr(
        trainer.training.loop, "shuffled_batches", lambda rows, *rest: trained_on.append(rows) or batches(rows, *rest)
    )
    quick(batch_size=30)
    shown, held_out = set(train.noise_seeds[trained_on[0]]), set(script.held_out[0].noise_seeds)
    assert not shown & held_out
    assert shown | held_out == set(train.noise_seeds)


@pytest.mark.parametrize("at_once", [1, 3, 16])
def test_an_epochs_training_elbo_is_the_mean_over_its_steps(at_once, quick, told, monkeypatch):
    monkeypatch.setattr(trainer.training.loop, "STEPS_PER_CALL", at_once)
    elbos = np.arange(27.0)
    told(elbos, [-1.0] * 3)
    result = quick(batch_size=30, epochs=3)
    np.testing.assert_allclose([epoch.train_elbo for epoch in result.epochs], elbos.reshape(3, 9).mean(axis=1))


CIFAR10 = Shape(32, 32, 3)


@pytest.mark.parametrize(
    ("batch_size", "shape", "steps"),
    [
        *((batch, CIFAR10, steps) for batch, steps in ((1, 16), (32, 16), (256, 16), (257, 15), (1024, 4), (9999, 1))),
        (1024, Shape(28, 28, 1), 4),
        (128, Shape(64, 64, 3), 8),
        (64, Shape(1024, 1024, 3), 1),
    ],
)
def test_a_call_has_few_steps_if_they_are_long_so_that_a_stop_is_heard_soon(batch_size, shape, steps):
    assert steps_per_call(batch_size, shape) == steps


def test_calls_are_no_longer_than_that(quick, told, monkeypatch):
    seen = []
    told(np.arange(27.0), [-1.0] * 3)
    step = trainer.training.loop.TrainStep
    monkeypatch.setattr(
        trainer.training.loop,
        "TrainStep",
        lambda *_: lambda pixels, rows, *rest: seen.append(len(rows)) or step()(pixels, rows, *rest),
    )
    monkeypatch.setattr(trainer.training.loop, "IMAGES_PER_CALL", 4 * 30)
    quick(batch_size=30, epochs=3)
    assert seen == [4, 4, 1] * 3


@pytest.fixture
def saved(quick_config, told, train, unseen, tmp_path, monkeypatch):
    """A run of calls of one step, each of which takes a minute by the clock: the steps after which it saves."""

    def run(steps, epochs, cost=0.0, chief=True, **settings):
        told(np.arange(float(steps * epochs)), [-1.0] * epochs)
        step, clock, saved = trainer.training.loop.TrainStep, [0.0], []

        def tick(*arguments):
            clock[0] += 60.0
            return step()(*arguments)

        def save(checkpoints, steps, progress):
            clock[0] += cost
            saved.append(steps)

        monkeypatch.setattr(trainer.training.loop, "TrainStep", lambda *_: tick)
        monkeypatch.setattr(trainer.training.loop, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        monkeypatch.setattr(trainer.training.loop, "STEPS_PER_CALL", 1)
        monkeypatch.setattr(trainer.training.loop, "is_chief", lambda strategy: chief)
        monkeypatch.setattr(Checkpoints, "save", save)
        train_and_evaluate(
            quick_config(batch_size=270 // steps, epochs=epochs), train, unseen, str(tmp_path), **settings
        )
        return saved

    return run


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (0.0, [1, 2, 3, 3, 4, 5, 6, 6]),
        (0.1, [1, 2, 3, 3, 4, 5, 6, 6]),
        (1.5, [2, 3, 5, 6]),
        (2.5, [3, 3, 6, 6]),
        (3.5, [3, 6]),
        (math.inf, [3, 6]),
    ],
)
def test_a_checkpoint_comes_when_the_minutes_since_the_last_are_over_and_at_the_end_of_an_epoch(
    minutes, expected, saved
):
    assert saved(steps=3, epochs=2, checkpoint_minutes=minutes, checkpoint_percent=0.0) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.1, [*range(1, 11), 10, *range(11, 21), 20]),
        (2.0, [1, 5, 9, 10, 16, 20, 20]),  # every 200 s; the end of the first epoch is paid too
        (30.0, [1, 10, 20]),
    ],
)
def test_checkpoints_come_as_often_as_their_percent_of_the_time_allows(seconds, expected, saved):
    assert saved(steps=10, epochs=2, cost=seconds, checkpoint_minutes=math.inf, checkpoint_percent=1.0) == expected


def test_a_worker_that_does_not_write_saves_at_the_ends_of_epochs_only(saved):
    """It must not decide by its own clock, and would have nothing to save in between."""
    assert saved(steps=3, epochs=2, chief=False, checkpoint_minutes=0.0, checkpoint_percent=100.0) == [3, 6]


@pytest.mark.parametrize(
    ("step", "epoch", "elbo"), [(1, 1, math.nan), (9, 1, -math.inf), (10, 2, math.inf), (27, 3, -1e6)]
)
def test_the_first_invalid_elbo_ends_the_run_and_is_named(step, epoch, elbo, quick, told, tmp_path):
    elbos = np.full(27, -2000.0)
    elbos[step - 1 :] = elbo
    told(elbos, [-1.0] * 3)
    with pytest.raises(UserError) as error:
        quick(batch_size=30, epochs=3)
    assert f"step {step} (epoch {epoch})" in error.value.failure.sentence
    np.testing.assert_equal(error.value.failure.value, elbo)
    assert not (tmp_path / "history.json").exists()


def test_a_held_out_elbo_that_is_not_finite_ends_the_run_too(quick, told, tmp_path):
    told(np.full(27, -2000.0), [-1.0, math.nan, -1.0])
    with pytest.raises(UserError) as error:
        quick(batch_size=30, epochs=3)
    assert "step 18 (epoch 2)" in error.value.failure.sentence
    assert math.isnan(error.value.failure.value)
    assert not (tmp_path / "history.json").exists()


def test_weights_that_are_not_finite_are_seen_in_the_first_step(quick, monkeypatch):
    def build_broken(*arguments):
        model = build(*arguments)
        model.variables[0].assign(tf.fill(model.variables[0].shape, math.nan))
        return model

    monkeypatch.setattr(trainer.training.loop, "build", build_broken)
    with pytest.raises(UserError) as error:
        quick()
    assert "step 1 (epoch 1)" in error.value.failure.sentence
    assert math.isnan(error.value.failure.value)


def test_every_worker_compares_its_newest_checkpoint_with_the_others(quick, told, tmp_path, monkeypatch):
    seen = []
    told(np.arange(27.0), [-1.0] * 3)
    monkeypatch.setattr(
        trainer.training.loop,
        "check_agreement",
        lambda strategy, *arguments: seen.append(arguments),
    )
    quick(batch_size=30, epochs=3)
    assert seen == [(0, "steps in its newest checkpoint", str(tmp_path / "checkpoints"))]
