import dataclasses
import math

import pytest

from pipeline.settings import PipelineConfig
from trainer.schema import SettingError
from trainer.settings import TrainConfig


@pytest.fixture
def config(tmp_path):
    return PipelineConfig(dataset="cifar10", train=TrainConfig(), root=str(tmp_path))


FLOATS = [field.name for field in dataclasses.fields(PipelineConfig) if "float" in str(field.type)]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("dataset", "", "such as cifar10 or cifar10:3.0.2, got ''"),
        ("dataset", "../cifar10", "got '../cifar10'"),
        ("max_regression", -0.5, "not negative, got -0.5"),
        ("checkpoint_minutes", -1.0, "not negative, got -1.0"),
        *((name, value, f"a finite number, got {value}") for name in FLOATS for value in (math.nan, math.inf)),
        ("tune", -1, "a number of trials that is not negative, got -1"),
        ("root", "", "the name of a folder, got ''"),
        ("root", " ", "the name of a folder, got ' '"),
        ("root", "st*r", r"a folder without \* \? \[ \\ in its name, which are taken for a pattern, got 'st\*r'"),
        ("data_dir", "what?", "a folder without .* got 'what\\?'"),
        ("manual_dir", "a\nb", r"a folder without control characters in its name, got 'a\\nb'"),
        ("data_dir", "/no/such/folder", "a folder that exists, got '/no/such/folder'"),
        ("manual_dir", "/no/such/folder", "a folder that exists, got '/no/such/folder'"),
    ],
)
def test_a_value_that_cannot_be_names_the_setting_and_what_was_expected(config, name, value, expected):
    with pytest.raises(SettingError, match=f"^{name}: expected .*{expected}"):
        dataclasses.replace(config, **{name: value})


@pytest.mark.parametrize("strategy", ["auto", "default", "mirrored"])
def test_a_tuner_has_every_strategy_of_one_process(config, strategy):
    assert dataclasses.replace(config, tune=2, strategy=strategy).strategy == strategy


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 2}, "^workers: expected 1 with tune 2, whose trials run in one process, got 2$"),
        ({"workers": 2, "strategy": "multi_worker"}, "^workers: expected 1 with tune 2, "),
        ({"strategy": "tpu"}, "^strategy: expected one of auto, default, mirrored with tune 2, .*, got 'tpu'$"),
        (
            {"strategy": "tpu:mine"},
            "^strategy: expected one of auto, default, mirrored with tune 2, .*, got 'tpu:mine'$",
        ),
    ],
)
def test_a_tuner_refuses_what_it_would_have_to_ignore(config, settings, message):
    assert dataclasses.replace(config, **settings)
    with pytest.raises(SettingError, match=message):
        dataclasses.replace(config, tune=2, **settings)


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
    with pytest.raises(SettingError, match=r"^TFDS_DATA_DIR: expected a folder without .*, got '/data\[1\]'$"):
        config.data_dirs  # noqa: B018


def test_a_warm_start_needs_the_model_that_no_baseline_does_without(config):
    with pytest.raises(SettingError, match=r"^warm_start: expected false with no_baseline"):
        dataclasses.replace(config, warm_start=True, no_baseline=True)


@pytest.mark.parametrize("tune", [1, 8])
def test_a_warm_start_leaves_the_shapes_alone_that_a_tuner_varies(config, tune):
    warm = dataclasses.replace(config, warm_start=True)
    with pytest.raises(SettingError, match=f"^tune: expected 0 with warm_start.*, got {tune}$"):
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
