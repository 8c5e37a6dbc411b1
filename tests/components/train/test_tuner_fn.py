import dataclasses
import json
import types
from unittest import mock

import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

import components.train.tuner_fn
from components.train.site import SITE, Site
from components.train.tuner_fn import ELBOTuner, RecipeFirst, search_space, shortened
from trainer.errors import InterruptError, UserError
from trainer.evaluate import MeanELBO
from trainer.images import ImageSet
from trainer.presets import PRESETS
from trainer.schema import SettingError
from trainer.settings import Execution, TrainConfig

RECIPE = TrainConfig(hidden_size=40, latent_size=10, iaf_hidden_size=20, epochs=8, importance_samples=7)
IMAGES = ImageSet(np.zeros([30, 32, 32, 3], np.uint8), np.arange(30))


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Runs a search in which a trial's ELBO is `score` of its configuration; returns tuner and configurations."""

    def run(score, trials=4, recipe=RECIPE, strategy=None):
        tried = []
        strategy = strategy or tf.distribute.get_strategy()

        def train(config, images, validation, workdir, strategy):
            tried.append(config)
            strategies.append(strategy)
            return types.SimpleNamespace(test=MeanELBO(score(config), 0.0, 0.0))

        monkeypatch.setattr(components.train.tuner_fn, "train_and_evaluate", train)
        oracle = RecipeFirst(
            objective=keras_tuner.Objective("elbo", "max"),
            max_trials=trials,
            max_consecutive_failed_trials=trials + 1,
            hyperparameters=search_space(recipe, IMAGES.shape),
            allow_new_entries=False,
            seed=1,
        )
        tuner = ELBOTuner(oracle, directory=str(tmp_path), project_name="tuner")
        tuner.search(recipe=recipe, train=IMAGES, validation=IMAGES, strategy=strategy)
        assert {id(used) for used in strategies} == {id(strategy)}
        return tuner, tried

    strategies = []
    return run


def test_the_first_trial_is_the_recipe_with_a_quarter_of_its_epochs(search):
    _, tried = search(lambda config: 0.0)
    assert tried[0] == dataclasses.replace(RECIPE, epochs=2, importance_samples=0)
    assert len({json.dumps(config.to_dict()) for config in tried}) == 4


def test_the_result_is_the_trial_that_scored_highest(search):
    tuner, tried = search(lambda config: -abs(config.gate_bias - 1.0))
    best = max(tried, key=lambda config: -abs(config.gate_bias - 1.0))
    assert tuner.get_best_hyperparameters()[0].values["gate_bias"] == best.gate_bias


def test_the_result_is_a_configuration_after_the_way_through_json(search):
    tuner, _ = search(lambda config: config.learning_rate)
    values = json.loads(json.dumps(tuner.get_best_hyperparameters()[0].get_config()))["values"]
    found = TrainConfig(**{**RECIPE.to_dict(), **values})
    assert found.epochs == RECIPE.epochs
    assert found.learning_rate > RECIPE.learning_rate


def test_a_trial_that_diverges_has_failed_and_the_search_continues(search):
    def score(config):
        if config == dataclasses.replace(RECIPE, epochs=2, importance_samples=0):
            raise UserError("the ELBO is nan")
        return config.learning_rate

    tuner, tried = search(score)
    assert len(tried) == 4
    assert tuner.get_best_hyperparameters()[0].values["learning_rate"] == max(c.learning_rate for c in tried[1:])


def test_a_search_of_failed_trials_says_so(search):
    def score(config):
        raise UserError("the ELBO is nan")

    with pytest.raises(UserError) as error:
        search(score)
    assert error.value.failure.value == 4
    assert str(error.value) == (
        "all 4 trials of the Tuner failed, including the recipe itself. Lower its learning rate, or its batch size if "
        "that exceeds the number of images, and run again"
    )


def test_a_recipe_that_the_strategy_cannot_train_ends_the_search(search):
    def score(config):
        raise SettingError("batch_size", "a multiple of the 2 replicas", 3)

    with pytest.raises(keras_tuner.errors.FatalError) as stop:
        search(score)
    assert isinstance(stop.value.__cause__, SettingError)


@pytest.mark.parametrize(("name", "kind"), [("default", None), ("mirrored", tf.distribute.MirroredStrategy)])
def test_trials_run_on_the_strategy_of_the_site(search, name, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(components.train.tuner_fn.tft, "TFTransformOutput", mock.MagicMock())
    monkeypatch.setattr(components.train.tuner_fn, "load_images", lambda *_: IMAGES)
    monkeypatch.setattr(components.train.tuner_fn, "shape_of", lambda _: IMAGES.shape)
    arguments = types.SimpleNamespace(
        custom_config={"train": RECIPE.to_dict(), "trials": 2, SITE: Site(Execution(strategy=name)).to_dict()},
        transform_graph_path="",
        train_files=[],
        working_dir=str(tmp_path),
    )
    used = components.train.tuner_fn.tuner_fn(arguments).fit_kwargs["strategy"]
    assert isinstance(used, kind) if kind else used is tf.distribute.get_strategy()
    search(lambda config: 0.0, strategy=used)


def test_an_interrupt_ends_the_search(search):
    def score(config):
        raise InterruptError(2)

    with pytest.raises(keras_tuner.errors.FatalError) as stop:
        search(score)
    assert isinstance(stop.value.__cause__, InterruptError)


def test_warm_ups_are_shortened_with_the_epochs():
    recipe = dataclasses.replace(RECIPE, warmup_epochs=6.0, kl_warmup_epochs=4.0)
    short = shortened(recipe)
    assert (short.epochs, short.warmup_epochs, short.kl_warmup_epochs) == (2, 1.5, 1.0)


def test_without_a_flow_its_settings_are_not_searched():
    names = {p.name for p in search_space(dataclasses.replace(RECIPE, iaf_steps=0), IMAGES.shape).space}
    assert names == {"learning_rate", "hidden_size", "latent_size"}


@pytest.mark.parametrize("recipe", [*PRESETS.values(), TrainConfig(learning_rate=0.9), TrainConfig(latent_size=2)])
def test_every_point_of_the_space_is_a_configuration(recipe):
    space = search_space(recipe, IMAGES.shape)
    for seed in range(20):
        dataclasses.replace(recipe, **{p.name: p.random_sample(seed) for p in space.space})
