import dataclasses
import math

import pytest

from pipeline.config import PipelineConfig
from trainer.config import ConfigError, TrainConfig


@pytest.fixture
def config(tmp_path):
    return PipelineConfig(dataset="cifar10", train=TrainConfig(), root=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("dataset", "", "such as cifar10 or cifar10:3.0.2, got ''"),
        ("dataset", "../cifar10", "got '../cifar10'"),
        ("max_regression", -0.5, "not negative, got -0.5"),
        ("max_regression", math.nan, "not negative, got nan"),
        ("max_regression", math.inf, "not negative, got inf"),
        ("min_elbo", math.nan, "a finite number of nats per image, got nan"),
        ("min_label_elbo", math.inf, "a finite number of nats per image, got inf"),
        ("tune", -1, "a number of trials that is not negative, got -1"),
        ("data_dir", "/no/such/folder", "a folder that exists, got '/no/such/folder'"),
        ("manual_dir", "/no/such/folder", "a folder that exists, got '/no/such/folder'"),
    ],
)
def test_a_value_that_cannot_be_names_the_setting_and_what_was_expected(config, name, value, expected):
    with pytest.raises(ConfigError, match=f"^{name}: expected .*{expected}"):
        dataclasses.replace(config, **{name: value})


@pytest.mark.parametrize("tune", [1, 8])
def test_a_warm_start_leaves_the_shapes_alone_that_a_tuner_varies(config, tune):
    warm = dataclasses.replace(config, warm_start=True)
    with pytest.raises(ConfigError, match=f"^tune: expected 0 with warm_start.*, got {tune}$"):
        dataclasses.replace(warm, tune=tune)


def test_every_place_lies_under_the_root(config, tmp_path):
    for path in (config.artifacts, config.metadata, config.push_directory, config.data_dirs[-1]):
        assert path.startswith(str(tmp_path))


def test_models_of_different_data_sets_do_not_meet(config):
    other = dataclasses.replace(config, dataset="svhn_cropped:3.0.0")
    assert config.name != other.name
    assert config.artifacts != other.artifacts
    assert config.push_directory != other.push_directory


def test_data_are_looked_for_where_tfds_looks(config, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", "/prepared")
    assert config.data_dirs == ["/prepared", str(tmp_path / "datasets")]
    assert dataclasses.replace(config, data_dir=str(tmp_path)).data_dirs == [str(tmp_path), str(tmp_path / "datasets")]
