"""A recipe survives its transport, and an invalid setting is refused by name."""

import dataclasses
import json
import math

import pytest

from trainer.presets import PRESETS, recipe
from trainer.schema import Place, SettingError, fields, plain_type, settings
from trainer.settings import DECODERS, ENCODERS, STRATEGIES, Execution, TrainConfig, check_workers, shard_size

FIELDS = {name: plain_type(field) for name, field in fields(TrainConfig).items()}
WRONG_TYPES = {
    int: ["3", 2.5, True, None, [3]],
    float: ["0.1", True, None, [0.1]],
    bool: [0, 1, 1.0, "true", None],
}
CHOICE = [3, None, True, ["BernoulliMLP"]]  # of a setting with choices
COUNTS = (
    *("hidden_size", "channels", "blocks", "latent_size", "iaf_hidden_size", "iaf_layers"),
    *("ladder_layers", "latent_channels"),
    *("train_samples", "batch_size", "epochs", "eval_samples"),
)
NOT_NEGATIVE = ("iaf_steps", "kl_warmup_epochs", "free_bits", "warmup_epochs", "clip_norm", "importance_samples")
LADDER = {"encoder": "GaussianLadder", "decoder": "BernoulliLadder"}
OUT_OF_RANGE = [
    *((name, value) for name in ("encoder", "decoder", "objective", "schedule") for value in ("", "linear", "ELBO")),
    ("encoder", "GaussianCNN"),
    ("encoder", "BernoulliMLP"),
    ("decoder", "bernoulliMLP"),
    ("decoder", "GaussianCNN"),
    *((name, value) for name in COUNTS for value in (0, -32)),
    *((name, -1) for name in NOT_NEGATIVE),
    ("warmup_epochs", 8.0),
    ("warmup_epochs", 8.5),
    ("importance_samples", 1),
    ("seed", -1),
    ("seed", 2**31),
    *((name, value) for name, kind in FIELDS.items() if kind is float for value in (math.nan, math.inf, -math.inf)),
    *(("learning_rate", value) for value in (0.0, -1e-3, 1.0, 3)),
    *(("ema_decay", value) for value in (-0.1, 1.0, 2)),
    *(("held_out_fraction", value) for value in (0.0, -0.1, 0.5, 2)),
    ("gate_bias", 4e38),
]


def refusal(**settings):
    """The failure of the recipe, and the name of the setting that is refused."""
    with pytest.raises(SettingError) as caught:
        TrainConfig(**settings)
    assert caught.value.exit_code == 2
    return caught.value.failure, caught.value.setting


@pytest.mark.parametrize("config", [*PRESETS.values(), TrainConfig()], ids=[*PRESETS, "defaults"])
def test_a_config_survives_json(config):
    assert TrainConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_every_setting_is_transported():
    assert set(TrainConfig().to_dict()) == set(FIELDS)


def test_a_missing_setting_keeps_its_default():
    assert TrainConfig(epochs=3) == dataclasses.replace(TrainConfig(), epochs=3)


def test_an_unknown_setting_is_refused_and_the_known_are_listed():
    failure, setting = refusal(epochs=3, latents=64)
    assert (setting, failure.value) == ("latents", "latents")
    assert all(name in failure.valid for name in FIELDS)


WRONG = [(name, bad) for name, kind in FIELDS.items() for bad in WRONG_TYPES.get(kind, CHOICE)]


@pytest.mark.parametrize(("name", "value"), WRONG + OUT_OF_RANGE)
def test_a_wrong_type_or_a_value_out_of_range_is_refused_by_name(name, value):
    failure, setting = refusal(**{name: value})
    assert setting == failure.sentence == name
    assert failure.value is value or failure.value == value
    assert failure.valid


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
        *(
            {"encoder": encoder, "decoder": decoder}
            for encoder in ENCODERS
            for decoder in DECODERS
            if encoder.endswith("Ladder") == decoder.endswith("Ladder")
        ),
        LADDER | {"iaf_steps": 1, "latent_size": 1, "latent_channels": 1},
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


RESNETS = {"encoder": "GaussianResNet", "decoder": "GaussianResNet"}
MAPS = {**RESNETS, "latent_maps": True, "latent_size": 128, "hidden_size": 64}


@pytest.mark.parametrize(
    ("settings", "setting", "value"),
    [
        ({"objective": "iwae", "free_bits": 0.5}, "objective", "iwae"),
        ({"objective": "iwae", "kl_warmup_epochs": 1.0}, "objective", "iwae"),
        ({"schedule": "constant", "warmup_epochs": 1.0}, "warmup_epochs", 1.0),
        ({"iaf_steps": 1, "latent_size": 1}, "latent_size", 1),
        (MAPS | {"encoder": "GaussianMLP"}, "latent_maps", "GaussianMLP, GaussianResNet"),
        (MAPS | {"decoder": "BernoulliMLP"}, "latent_maps", "GaussianResNet, BernoulliMLP"),
        (LADDER | {"latent_maps": True}, "latent_maps", "GaussianLadder, BernoulliLadder"),
        (LADDER | {"encoder": "GaussianResNet"}, "encoder", "GaussianResNet"),
        (LADDER | {"decoder": "BernoulliMLP"}, "decoder", "BernoulliMLP"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, setting, value):
    failure, found = refusal(**settings)
    assert (found, failure.value) == (setting, value)
    assert failure.valid


@pytest.mark.parametrize("other", [{"encoder": "GaussianMLP"}, {"decoder": "BernoulliMLP"}, {"latent_size": 65}])
def test_latent_maps_alone_need_resnets(other):
    assert TrainConfig(**MAPS).latent_maps
    assert not TrainConfig(**MAPS | other | {"latent_maps": False}).latent_maps


NEEDLESS = {
    "hidden_size": (8, LADDER),
    "latent_size": (8, LADDER),
    "latent_maps": (False, LADDER),
    "ladder_layers": (2, {}),
    "latent_channels": (2, {"encoder": "GaussianResNet"}),
    "channels": (8, {}),
    "blocks": (2, {"encoder": "GaussianMLP"}),
    "iaf_hidden_size": (9, {"iaf_steps": 0}),
    "iaf_layers": (2, {"iaf_steps": 0}),
    "iaf_location_only": (True, {"iaf_steps": 0}),
    "gate_bias": (2.0, {"iaf_location_only": True}),
    "kl_warmup_epochs": (0.0, {"objective": "iwae"}),
    "warmup_epochs": (0.0, {"schedule": "constant"}),
}


@pytest.mark.parametrize(("name", "value", "others"), [(name, *needless) for name, needless in NEEDLESS.items()])
def test_a_setting_without_meaning_is_refused_where_it_is_given(name, value, others):
    recipe("seed", others)
    with pytest.raises(SettingError) as error:
        recipe("seed", {name: value, **others})
    assert (error.value.setting, error.value.failure.value) == (name, value)
    assert error.value.failure.remedy


def test_every_condition_of_a_setting_is_among_them():
    conditional = {name for name, setting in settings(TrainConfig, Place.RECIPE).items() if setting.needs}
    assert conditional == set(NEEDLESS)


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(SettingError) as error:
        recipe("smok", {})
    assert (error.value.setting, error.value.failure.value) == ("preset", "smok")
    assert all(name in error.value.failure.valid for name in PRESETS)
    assert "smoke" in error.value.failure.remedy


@pytest.mark.parametrize("strategy", [*STRATEGIES, "tpu:grpc://10.0.0.2:8470"])
def test_a_strategy_of_these_is_taken(strategy):
    assert Execution(strategy=strategy).strategy == strategy


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("strategy", value) for value in ("", "Mirrored", "gpu", "tpu:", "default:0", None)),
        *(("workers", value) for value in (0, -2, 1.0, "2")),
        *(("checkpoint_minutes", value) for value in (-1, math.nan, math.inf, "5")),
        *(("checkpoint_percent", value) for value in (-0.5, 100.5, math.nan, "1")),
    ],
)
def test_an_execution_is_refused_by_name(setting, value):
    with pytest.raises(SettingError) as error:
        Execution(**{setting: value})
    assert error.value.setting == setting
    assert error.value.failure.value is value


@pytest.mark.parametrize(
    ("execution", "settings", "setting", "value"),
    [
        ({"workers": 3}, {}, "batch_size", 128),
        ({"workers": 2}, {"free_bits": 0.1}, "free_bits", 0.1),
        *(
            ({"workers": 2, "strategy": strategy}, {}, "strategy", strategy)
            for strategy in ("default", "mirrored", "tpu", "tpu:mine")
        ),
        ({"strategy": "multi_worker"}, {}, "workers", 1),
    ],
)
def test_workers_that_cannot_train_a_recipe_together_are_refused(execution, settings, setting, value):
    with pytest.raises(SettingError) as error:
        check_workers(Execution(**execution), TrainConfig(**settings))
    assert (error.value.setting, error.value.failure.value) == (setting, value)


@pytest.mark.parametrize(
    "execution", [{}, {"strategy": "mirrored"}, {"workers": 2}, {"workers": 4, "strategy": "multi_worker"}]
)
def test_workers_that_can_train_a_recipe_are_taken(execution):
    check_workers(Execution(**execution), TrainConfig(free_bits=0.0 if "workers" in execution else 0.1))


@pytest.mark.parametrize("replicas", [1, 2, 3, 8])
@pytest.mark.parametrize("batch_size", [1, 7, 8, 9, 100])
def test_a_batch_divides_over_the_replicas_or_its_neighbours_that_do_are_named(batch_size, replicas):
    recipe = TrainConfig(batch_size=batch_size)
    if batch_size % replicas == 0:
        assert shard_size(recipe, replicas) * replicas == batch_size
        return
    near = [size for size in range(1, 200) if size % replicas == 0 and abs(size - batch_size) < replicas]
    with pytest.raises(SettingError) as error:
        shard_size(recipe, replicas)
    assert (error.value.setting, error.value.failure.value) == ("batch_size", batch_size)
    assert error.value.failure.valid.endswith(f"{replicas} replicas, such as {' or '.join(map(str, near))}")


def test_the_preset_seed_is_the_recipe_of_the_original_text():
    model = {"decoder": "BernoulliMLP", "hidden_size": 500, "latent_size": 500, "iaf_steps": 3, "gate_bias": 1.5}
    optimisation = {"batch_size": 32, "epochs": 100, "learning_rate": 1e-4, "schedule": "constant"}
    assert PRESETS["seed"].to_dict().items() >= (model | optimisation).items()
