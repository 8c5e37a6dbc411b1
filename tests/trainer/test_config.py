"""A configuration survives its transport, and what cannot be is refused by name."""

import dataclasses
import json
import math

import pytest

from trainer.config import ConfigError, TrainConfig
from trainer.errors import UserError
from trainer.presets import PRESETS

FIELDS = {field.name: field.type for field in dataclasses.fields(TrainConfig)}
WRONG_TYPES = {
    int: ["3", 2.5, True, None, [3]],
    float: ["0.1", True, None, [0.1]],
    str: [3, None, True, ["BernoulliMLP"]],
}
OUT_OF_RANGE = [
    ("encoder", "GaussianCNN"),
    ("decoder", "bernoulliMLP"),
    ("schedule", "linear"),
    ("hidden_size", 0),
    ("iaf_hidden_size", 0),
    ("batch_size", -32),
    ("epochs", 0),
    ("eval_samples", 0),
    ("latent_size", 0),
    ("iaf_steps", -1),
    ("seed", -1),
    ("seed", 2**64),
    ("gate_bias", math.nan),
    ("gate_bias", math.inf),
    *(("learning_rate", value) for value in (0.0, -1e-3, 1.0, 3, math.nan, math.inf)),
    *(("held_out_fraction", value) for value in (0.0, -0.1, 0.5, 2, math.nan)),
]


def refusal(**settings):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**settings)
    return str(caught.value)


@pytest.mark.parametrize("config", [*PRESETS.values(), TrainConfig()], ids=[*PRESETS, "defaults"])
def test_a_config_survives_json(config):
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_every_setting_is_transported():
    assert set(TrainConfig().to_dict()) == set(FIELDS)


def test_a_missing_setting_keeps_its_default():
    assert TrainConfig.from_dict({"epochs": 3}) == dataclasses.replace(TrainConfig(), epochs=3)


def test_an_unknown_setting_is_refused_and_the_known_are_listed():
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_dict({"epochs": 3, "latents": 64})
    message = str(caught.value)
    assert "'latents'" in message
    assert all(name in message for name in ("expected", *FIELDS))


@pytest.mark.parametrize(("name", "value"), [(name, bad) for name, kind in FIELDS.items() for bad in WRONG_TYPES[kind]])
def test_a_wrong_type_is_refused_by_name(name, value):
    message = refusal(**{name: value})
    assert message == f"{name}: expected a value of type {FIELDS[name].__name__}, got {value!r}"


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_name(name, value):
    message = refusal(**{name: value})
    assert message.startswith(f"{name}: expected ")
    assert message.endswith(f", got {value!r}")


@pytest.mark.parametrize(
    "settings",
    [
        {"iaf_steps": 0, "latent_size": 1},
        {"iaf_steps": 1, "latent_size": 2},
        {"hidden_size": 1, "iaf_hidden_size": 1, "batch_size": 1, "epochs": 1, "eval_samples": 1, "seed": 0},
        {"gate_bias": -2},
    ],
)
def test_a_value_at_its_bound_is_taken(settings):
    assert TrainConfig(**settings).to_dict().items() >= settings.items()


def test_a_flow_needs_two_latents():
    assert refusal(iaf_steps=1, latent_size=1) == "latent_size: expected at least 2, got 1"


def test_a_replaced_setting_is_checked_again():
    with pytest.raises(ConfigError, match="epochs"):
        dataclasses.replace(TrainConfig(), epochs=0)


def test_a_refusal_is_the_users_and_a_value_error():
    assert issubclass(ConfigError, UserError)
    assert issubclass(ConfigError, ValueError)


def test_the_preset_seed_is_the_recipe_of_the_original_text():
    model = {"decoder": "BernoulliMLP", "hidden_size": 500, "latent_size": 500, "iaf_steps": 3, "gate_bias": 1.5}
    optimisation = {"batch_size": 32, "epochs": 100, "learning_rate": 1e-4, "schedule": "constant"}
    assert PRESETS["seed"].to_dict().items() >= (model | optimisation).items()
