import dataclasses
import math

import pytest

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.parameters import Parameters, pipeline_config
from pipeline import cli
from trainer.errors import UserError
from trainer.presets import PRESETS

CLUSTER = Cluster(image="vaeiaf", namespace="ml", volume={"claim": "data", "path": "/data"})


def config(**values):
    return pipeline_config(Parameters.from_dict(values), CLUSTER)


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({}, []),
        ({"preset": "smoke", "dataset": "photo_patches"}, ["--preset=smoke", "--dataset=photo_patches"]),
        ({"epochs": 3, "learning_rate": 0.01, "seed": 7}, ["--epochs=3", "--learning-rate=0.01", "--seed=7"]),
        ({"settings": {"iaf_steps": 0}, "batch_size": 64}, ["--set=iaf_steps=0", "--batch-size=64"]),
        ({"eval_samples": 2, "workers": 2}, ["--eval-samples=2", "--workers=2"]),
        ({"tune": 3, "strategy": "mirrored"}, ["--tune=3", "--strategy=mirrored"]),
        ({"warm_start": True, "strategy": "default"}, ["--warm-start", "--strategy=default"]),
        (
            {"min_elbo": "-1900", "max_regression": 0.5, "min_label_elbo": "-2000.5"},
            ["--min-elbo=-1900", "--max-regression=0.5", "--min-label-elbo=-2000.5"],
        ),
        ({"checkpoint_minutes": 1}, ["--checkpoint-minutes=1"]),
        ({"allow_shared_images": True}, ["--allow-shared-images"]),
        ({"no_baseline": True}, ["--no-baseline"]),
    ],
)
def test_a_form_means_what_the_command_line_means(values, arguments):
    expected = cli._config(cli._parser().parse_args(["run", "--root=/data", *arguments]))
    assert config(**values) == expected


def test_an_empty_form_is_the_default_preset():
    assert config().train == PRESETS["default"]


def test_a_preset_keeps_what_is_not_given():
    assert config(preset="seed", epochs=1).train == dataclasses.replace(PRESETS["seed"], epochs=1)


def test_whole_numbers_may_come_as_floats_as_json_has_them():
    assert Parameters.from_dict({"epochs": 3.0, "max_regression": 1}) == Parameters(epochs=3, max_regression=1.0)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"epoch": 3}, "run parameter epoch: expected one of dataset, preset, epochs"),
        ({"epochs": 1.5}, "run parameter epochs: expected a whole number, got 1.5"),
        ({"epochs": True}, "run parameter epochs: expected a whole number, got True"),
        ({"warm_start": "yes"}, "run parameter warm_start: expected true or false, got 'yes'"),
        ({"settings": []}, "run parameter settings: expected a JSON object, got []"),
        ({"preset": "best"}, "run parameter preset: expected one of seed, default"),
        ({"min_elbo": "nan"}, "run parameter min_elbo: expected a finite number of nats per image, or nothing"),
        ({"min_label_elbo": "low"}, "run parameter min_label_elbo: expected a finite number"),
        ({"learning_rate": -1.0}, "learning_rate: expected"),
        ({"workers": 3, "batch_size": 64}, "batch_size"),
        ({"workers": 2, "tune": 3}, "workers: expected 1 with tune 3"),
        *(
            ({field.name: value}, f"run parameter {field.name}: expected a finite number, got {value}")
            for field in dataclasses.fields(Parameters)
            if field.type is float
            for value in (math.nan, math.inf, -math.inf)
        ),
        ({"settings": {"clip_norm": math.inf}}, "clip_norm: expected a finite number, got inf"),
    ],
)
def test_what_cannot_be_is_named_with_what_was_expected(values, complaint):
    with pytest.raises(UserError) as error:
        config(**values)
    assert str(error.value).startswith(complaint)
