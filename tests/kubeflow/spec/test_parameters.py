import dataclasses
import json
import math
import urllib.parse

import pytest

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.parameters import checked, description, parameters, run_config
from pipeline.cli import parser
from pipeline.cli._options import config_of
from trainer.presets import PRESETS
from trainer.schema import Place, SettingError, settings
from trainer.settings import STRATEGIES, TrainConfig

CLUSTER = Cluster(image="vaeiaf", namespace="ml", volume={"claim": "data", "path": "/data"})


def config(**values):
    return run_config(values, CLUSTER)


PAIRS = [
    ({}, []),
    ({"preset": "smoke", "dataset": "photo_patches"}, ["--preset=smoke", "--dataset=photo_patches"]),
    ({"epochs": "3", "learning_rate": "0.01", "seed": "7"}, ["--epochs=3", "--learning-rate=0.01", "--seed=7"]),
    ({"settings": {"iaf_steps": 0}, "batch_size": "64"}, ["--set=iaf_steps=0", "--batch-size=64"]),
    ({"eval_samples": "2.0", "workers": 2}, ["--eval-samples=2", "--workers=2"]),
    ({"tune": 3, "strategy": "mirrored"}, ["--tune=3", "--strategy=mirrored"]),
    ({"warm_start": "true", "strategy": "default"}, ["--warm-start", "--strategy=default"]),
    (
        {"min_elbo": "-1900", "max_regression": 0.5, "min_label_elbo": "-2000.5"},
        ["--min-elbo=-1900", "--max-regression=0.5", "--min-label-elbo=-2000.5"],
    ),
    ({"checkpoint_minutes": 1}, ["--checkpoint-minutes=1"]),
    ({"checkpoint_percent": 2}, ["--checkpoint-percent=2"]),
    ({"images_in_memory": 100}, ["--images-in-memory=100"]),
    ({"allow_shared_images": True}, ["--allow-shared-images"]),
    ({"image_shape": "64x48x1"}, ["--image-shape=64x48x1"]),
    ({"no_baseline": True}, ["--no-baseline"]),
    (
        {"data": "images/faces", "splits": "train=a+b,test=c"},
        ["--data=/data/images/faces", "--splits=train=a+b,test=c"],
    ),
    ({"data": "/mnt/other", "test_share": 0.2}, ["--data=/mnt/other", "--test-share=0.2"]),
    ({"max_unreadable": 0.01}, ["--max-unreadable=0.01"]),
    ({"keep_versions": 5, "keep_runs": 20}, ["--keep-versions=5", "--keep-runs=20"]),
    (
        {"data": "photos/{SPAN}", "spans": 3, "span_marker": "_SUCCESS"},
        ["--data=/data/photos/{SPAN}", "--spans=3", "--span-marker=_SUCCESS"],
    ),
    (
        {"data": "{YYYY}/{MM}/{DD}", "span_age_minutes": 2.5},
        ["--data=/data/{YYYY}/{MM}/{DD}", "--span-age-minutes=2.5"],
    ),
    ({"data": "photos/{SPAN}", "warm_start": "false"}, ["--data=/data/photos/{SPAN}", "--no-warm-start"]),
    (
        {"serving_data": "served", "drift_threshold": 0.1, "on_drift": "stop"},
        ["--serving-data=/data/served", "--drift-threshold=0.1", "--on-drift=stop"],
    ),
]


@pytest.mark.parametrize(("values", "arguments"), PAIRS)
def test_a_form_means_what_the_command_line_means(values, arguments):
    expected = config_of(parser().parse_args(["run", "--root=/data", *arguments]))
    assert config(**values) == expected
    whole_form = {name: found.default for name, found in parameters().items()} | values
    assert config(**whole_form) == expected, "the UI sends every parameter"


def test_every_parameter_is_in_the_table_above():
    assert {name for values, _ in PAIRS for name in values} == set(parameters())


def test_an_empty_form_is_the_default_preset():
    assert config().train == PRESETS["default"]


def test_a_preset_keeps_what_is_not_given():
    assert config(preset="seed", epochs=1).train == dataclasses.replace(PRESETS["seed"], epochs=1)


def test_whole_numbers_may_come_as_floats_as_json_has_them():
    found = checked({"workers": 3.0, "max_regression": 1, "settings": {"iaf_steps": 0.0}})
    assert found == {"workers": 3, "max_regression": 1.0, "settings": {"iaf_steps": 0}}
    assert [type(value) for value in found.values()] == [int, float, dict]
    assert config(settings={"iaf_steps": 0.0}).train.iaf_steps == 0


def test_no_default_is_empty_or_stands_for_another_value():
    defaults = {name: found.default for name, found in parameters().items()}
    assert "" not in defaults.values()
    assert [name for name, value in defaults.items() if value == "none"] == [
        "data",
        "span_marker",
        "splits",
        "serving_data",
        "warm_start",
        "min_elbo",
        "min_label_elbo",
    ]
    assert {name for name, value in defaults.items() if value == "preset"} == {*settings(TrainConfig, Place.FORM)}
    assert config(preset="seed", epochs="preset").train == PRESETS["seed"]
    assert config(min_elbo="none").min_elbo is None


def test_the_description_explains_every_parameter_with_its_default():
    text = description()
    for name, found in parameters().items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"- `{name}` ")]
        default = found.default if isinstance(found.default, str) else json.dumps(found.default)
        assert f"default `{default}`" in line
        assert line.endswith(found.help)
    assert len(urllib.parse.quote(text)) < 8192, "it is sent in an address"


def test_a_unit_stands_behind_what_it_measures():
    assert parameters()["min_elbo"].help.startswith("lower bound of the test-set ELBO per image, in nats; none: ")
    assert parameters()["checkpoint_minutes"].help.endswith(", in minutes")


def test_choices_are_all_values_that_a_drop_down_offers():
    choices = {name: found.choices for name, found in parameters().items() if found.choices}
    assert choices == {
        "preset": tuple(PRESETS),
        "strategy": STRATEGIES,
        "on_drift": ("warn", "stop"),
        "warm_start": ("none", "true", "false"),
    }


@pytest.mark.parametrize(
    ("values", "setting", "value"),
    [
        ({"epoch": 3}, "epoch", "epoch"),
        ({"epochs": 1.5}, "epochs", 1.5),
        ({"epochs": True}, "epochs", True),
        ({"epochs": -1}, "epochs", -1),
        ({"epochs": "-1"}, "epochs", -1),
        ({"epochs": "0"}, "epochs", 0),
        ({"epochs": "0.5"}, "epochs", 0.5),
        ({"epochs": "many"}, "epochs", "many"),
        ({"epochs": ""}, "epochs", ""),
        ({"seed": "1e400"}, "seed", math.inf),
        ({"warm_start": "yes"}, "warm_start", "yes"),
        ({"settings": []}, "settings", []),
        ({"settings": {"hiden_size": 3}}, "hiden_size", "hiden_size"),
        ({"settings": {"clip_norm": math.inf}}, "clip_norm", math.inf),
        ({"preset": "best"}, "preset", "best"),
        ({"min_elbo": "high"}, "min_elbo", "high"),
        ({"min_label_elbo": "inf"}, "min_label_elbo", math.inf),
        ({"learning_rate": -1.0}, "learning_rate", -1.0),
        ({"workers": 3, "batch_size": 64}, "batch_size", 64),
        ({"workers": 2, "tune": 3}, "workers", 2),
        *(
            ({name: value}, name, value)
            for name, found in parameters().items()
            if found.kind is float
            for value in (math.inf, -math.inf)
        ),
        # without meaning beside the others
        ({"no_baseline": True, "max_regression": 2.0}, "max_regression", 2.0),
        ({"data": "images", "dataset": "photo_patches"}, "dataset", "photo_patches"),
        ({"data": "images", "spans": 2}, "spans", 2),
        ({"data": "{SPAN}/{SPAN}"}, "data", "/data/{SPAN}/{SPAN}"),
        ({"data": "{SPAN}", "splits": "train=a"}, "splits", "train=a"),
        ({"settings": {"iaf_steps": 0, "iaf_hidden_size": 9}}, "iaf_hidden_size", 9),
        ({"preset": "mlp", "settings": {"channels": 9}}, "channels", 9),
    ],
)
def test_an_invalid_parameter_is_named_with_its_value(values, setting, value):
    with pytest.raises(SettingError) as error:
        config(**values)
    assert (error.value.setting, error.value.failure.value, error.value.exit_code) == (setting, value, 2)


@pytest.mark.parametrize("name", [name for name, found in parameters().items() if found.kind is float])
def test_a_number_is_finite(name):
    with pytest.raises(SettingError) as error:
        config(**{name: math.nan})
    assert (error.value.setting, error.value.failure.valid) == (name, "a finite number")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"settings": [1]}, "settings: expected a JSON object, got [1]"),
        ({"epochs": "many"}, "epochs: expected a number, or preset, got 'many'"),
        ({"min_elbo": "high"}, "min_elbo: expected a number, or none, got 'high'"),
    ],
)
def test_an_error_says_what_is_valid(values, text):
    with pytest.raises(SettingError) as error:
        config(**values)
    assert str(error.value) == text


# The parameters of the pipeline versions that were uploaded before, with the defaults of their form.
BEFORE = {
    "dataset": "cifar10",
    "preset": "default",
    "epochs": 0.0,
    "batch_size": 0.0,
    "learning_rate": 0.0,
    "seed": 0.0,
    "eval_samples": 0.0,
    "settings": {},
    "tune": 0.0,
    "warm_start": False,
    "workers": 1.0,
    "strategy": "auto",
    "checkpoint_minutes": 5.0,
    "checkpoint_percent": 1.0,
    "min_elbo": "",
    "max_regression": 1.0,
    "min_label_elbo": "",
    "no_baseline": False,
    "allow_shared_images": False,
    "image_shape": "data",
}


def test_earlier_pipeline_versions_give_parameters_of_the_same_names():
    assert parameters().keys() - BEFORE.keys() == {
        *("data", "splits", "test_share", "max_unreadable"),
        *("spans", "span_marker", "span_age_minutes"),
        *("serving_data", "drift_threshold", "on_drift"),
        *("images_in_memory", "keep_versions", "keep_runs"),
    }
    assert BEFORE.keys() < parameters().keys()


@pytest.mark.parametrize(("values", "arguments"), PAIRS)
def test_earlier_pipeline_versions_mean_the_same(values, arguments):
    numbers = {name: float(value) for name, value in values.items() if type(BEFORE.get(name)) is float}
    assert config(**BEFORE | values | numbers) == config_of(parser().parse_args(["run", "--root=/data", *arguments]))
    later = ("no_baseline", "allow_shared_images", "checkpoint_percent", "image_shape")
    without = {name: value for name, value in BEFORE.items() if name not in later}
    assert config(**without) == config(), "the first versions lack these"
