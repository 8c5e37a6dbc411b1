"""A configuration survives its transport, and what cannot be is refused by name."""

import dataclasses
import json
import math

import pytest

from trainer.errors import UserError
from trainer.presets import PRESETS
from trainer.schema import SettingError
from trainer.settings import DECODERS, ENCODERS, TrainConfig

FIELDS = {field.name: field.type for field in dataclasses.fields(TrainConfig)}
WRONG_TYPES = {
    int: ["3", 2.5, True, None, [3]],
    float: ["0.1", True, None, [0.1]],
    str: [3, None, True, ["BernoulliMLP"]],
    bool: [0, 1, 1.0, "true", None],
}
COUNTS = (
    *("hidden_size", "channels", "blocks", "latent_size", "iaf_hidden_size", "iaf_layers"),
    *("train_samples", "batch_size", "epochs", "eval_samples"),
)
NOT_NEGATIVE = ("iaf_steps", "kl_warmup_epochs", "free_bits", "warmup_epochs", "clip_norm", "importance_samples")
OUT_OF_RANGE = [
    *((name, value) for name in ("encoder", "decoder", "objective", "schedule") for value in ("", "linear", "ELBO")),
    ("encoder", "GaussianCNN"),
    ("encoder", "BernoulliMLP"),
    ("decoder", "bernoulliMLP"),
    ("decoder", "GaussianCNN"),
    *((name, value) for name in COUNTS for value in (0, -32)),
    *((name, -1) for name in NOT_NEGATIVE),
    ("warmup_epochs", 8),
    ("warmup_epochs", 8.5),
    ("seed", -1),
    ("seed", 2**31),
    *((name, value) for name, kind in FIELDS.items() if kind is float for value in (math.nan, math.inf, -math.inf)),
    *(("learning_rate", value) for value in (0.0, -1e-3, 1.0, 3)),
    *(("ema_decay", value) for value in (-0.1, 1.0, 2)),
    *(("held_out_fraction", value) for value in (0.0, -0.1, 0.5, 2)),
]


def refusal(**settings):
    with pytest.raises(SettingError) as caught:
        TrainConfig(**settings)
    return str(caught.value)


@pytest.mark.parametrize("config", [*PRESETS.values(), TrainConfig()], ids=[*PRESETS, "defaults"])
def test_a_config_survives_json(config):
    assert TrainConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_every_setting_is_transported():
    assert set(TrainConfig().to_dict()) == set(FIELDS)


def test_a_missing_setting_keeps_its_default():
    assert TrainConfig(epochs=3) == dataclasses.replace(TrainConfig(), epochs=3)


def test_an_unknown_setting_is_refused_and_the_known_are_listed():
    with pytest.raises(SettingError) as caught:
        TrainConfig(epochs=3, latents=64)
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
        dict.fromkeys(COUNTS, 1) | {"iaf_steps": 0},
        dict.fromkeys(NOT_NEGATIVE, 0),
        {"seed": 0, "ema_decay": 0},
        {"seed": 2**31 - 1, "ema_decay": 0.9999},
        {"gate_bias": -2},
        {"warmup_epochs": 7.99},
        {"kl_warmup_epochs": 100.0, "free_bits": 3, "train_samples": 5},
        {"objective": "iwae", "train_samples": 5},
        *({"encoder": encoder, "decoder": decoder} for encoder in ENCODERS for decoder in DECODERS),
    ],
)
def test_a_value_at_its_bound_is_taken(settings):
    assert TrainConfig(**settings).to_dict().items() >= settings.items()


@pytest.mark.parametrize(
    ("decoder", "likelihood"),
    [("BernoulliMLP", "Bernoulli"), ("GaussianResNet", "Gaussian"), ("DiscretizedLogisticMLP", "DiscretizedLogistic")],
)
def test_a_decoder_names_its_likelihood(decoder, likelihood):
    assert TrainConfig(decoder=decoder).likelihood == likelihood


@pytest.mark.parametrize("relaxed", [{"free_bits": 0.5}, {"kl_warmup_epochs": 1.0}])
def test_iwae_has_no_kl_to_relax(relaxed):
    message = refusal(objective="iwae", **relaxed)
    assert message.startswith("objective: expected elbo with kl_warmup_epochs or free_bits")


RESNETS = {"encoder": "GaussianResNet", "decoder": "GaussianResNet"}
MAPS = {**RESNETS, "latent_maps": True, "latent_size": 128, "hidden_size": 64}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"encoder": "GaussianMLP"}, "latent_maps: expected ResNets as encoder and decoder, got 'GaussianMLP, Gau"),
        ({"decoder": "BernoulliMLP"}, "latent_maps: expected ResNets as encoder and decoder, got 'GaussianResNet, Be"),
        ({"latent_size": 65}, "latent_size: expected a multiple of 64"),
        ({"hidden_size": 32}, "hidden_size: expected a multiple of 64"),
    ],
)
def test_latent_maps_are_of_resnets_and_have_64_cells(other, message):
    assert TrainConfig(**MAPS).latent_maps
    assert not TrainConfig(**MAPS | other | {"latent_maps": False}).latent_maps
    assert refusal(**MAPS | other).startswith(message)


def test_a_constant_rate_has_no_warm_up():
    expected = "warmup_epochs: expected 0 with a constant schedule, got 1.0"
    assert refusal(schedule="constant", warmup_epochs=1.0) == expected


def test_a_flow_needs_two_latents():
    assert refusal(iaf_steps=1, latent_size=1) == "latent_size: expected at least 2, got 1"


def test_a_replaced_setting_is_checked_again():
    with pytest.raises(SettingError, match="epochs"):
        dataclasses.replace(TrainConfig(), epochs=0)


def test_a_refusal_is_the_users_and_a_value_error():
    assert issubclass(SettingError, UserError)
    assert issubclass(SettingError, ValueError)


def test_the_preset_seed_is_the_recipe_of_the_original_text():
    model = {"decoder": "BernoulliMLP", "hidden_size": 500, "latent_size": 500, "iaf_steps": 3, "gate_bias": 1.5}
    optimisation = {"batch_size": 32, "epochs": 100, "learning_rate": 1e-4, "schedule": "constant"}
    assert PRESETS["seed"].to_dict().items() >= (model | optimisation).items()
