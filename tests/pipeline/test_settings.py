import dataclasses
import math

import pytest

from pipeline.settings import PipelineConfig
from trainer.schema import SettingError
from trainer.settings import TrainConfig


@pytest.fixture
def config(tmp_path):
    return PipelineConfig(dataset="cifar10", train=TrainConfig(), root=str(tmp_path))


NUMBERS = ("min_elbo", "max_regression", "min_label_elbo", "checkpoint_minutes", "checkpoint_percent")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataset", ""),
        ("dataset", "../cifar10"),
        ("max_regression", -0.5),
        ("checkpoint_minutes", -1.0),
        *((name, value) for name in NUMBERS for value in (math.nan, math.inf, "1")),
        ("tune", -1),
        ("tune", 1.5),
        *(("root", name) for name in ("", " ", "st*r")),
        ("data_dir", "what?"),
        ("manual_dir", "a\nb"),
        ("data_dir", "/no/such/folder"),
        ("manual_dir", "/no/such/folder"),
        ("beam_args", ("--runner", 3)),
    ],
)
def test_an_invalid_value_is_refused_by_name(config, name, value):
    with pytest.raises(SettingError) as error:
        dataclasses.replace(config, **{name: value})
    assert error.value.setting.partition(".")[0] == name
    assert error.value.failure.value in (value, 3) or math.isnan(value)
    assert error.value.failure.valid


@pytest.mark.parametrize("strategy", ["auto", "default", "mirrored"])
def test_a_tuner_has_every_strategy_of_one_process(config, strategy):
    assert dataclasses.replace(config, tune=2, strategy=strategy).strategy == strategy


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"workers": 2}, "workers"),
        ({"workers": 2, "strategy": "multi_worker"}, "workers"),
        ({"strategy": "tpu"}, "strategy"),
        ({"strategy": "tpu:mine"}, "strategy"),
    ],
)
def test_a_tuner_refuses_what_it_would_have_to_ignore(config, settings, name):
    assert dataclasses.replace(config, **settings)
    with pytest.raises(SettingError) as error:
        dataclasses.replace(config, tune=2, **settings)
    assert (error.value.setting, error.value.failure.value) == (name, settings[name])


def test_folders_are_absolute_and_a_tilde_is_the_home(config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    moved = dataclasses.replace(config, root="~/x", data_dir="data", manual_dir="~/data")
    assert (moved.root, moved.data_dir, moved.manual_dir) == tuple(
        f"{tmp_path}/{name}" for name in ("x", "data", "data")
    )


def test_the_environments_data_folder_is_checked_too(config, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/data[1]")
    with pytest.raises(SettingError) as error:
        config.data_dirs  # noqa: B018
    assert (error.value.setting, error.value.failure.value) == ("TFDS_DATA_DIR", "/data[1]")


def test_a_warm_start_needs_the_model_that_no_baseline_does_without(config):
    with pytest.raises(SettingError) as error:
        dataclasses.replace(config, warm_start=True, no_baseline=True)
    assert error.value.setting == "warm_start"


@pytest.mark.parametrize("tune", [1, 8])
def test_a_warm_start_leaves_the_shapes_alone_that_a_tuner_varies(config, tune):
    warm = dataclasses.replace(config, warm_start=True)
    with pytest.raises(SettingError) as error:
        dataclasses.replace(warm, tune=tune)
    assert (error.value.setting, error.value.failure.value) == ("tune", tune)


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
