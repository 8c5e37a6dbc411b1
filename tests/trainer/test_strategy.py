"""A strategy is found by its name, or the error says what is missing. Replicas are tested in test_exactness.py."""

import importlib.util
import socket

import numpy as np
import pytest
import tensorflow as tf

import trainer.strategy
from trainer.errors import UserError
from trainer.schema import SettingError
from trainer.strategy import (
    build_strategy,
    check_agreement,
    check_workers_share,
    is_chief,
    leave_together,
    shard,
)

TWO = '{"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}}'
ONE = TWO.replace(', "127.0.0.1:2"', "")
CHIEF = '{"cluster": {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"]}, "task": {"type": "chief", "index": 0}}'


@pytest.fixture(autouse=True)
def nothing_there(monkeypatch):
    for name in ("TPU_NAME", "TF_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stand_ins(monkeypatch):
    """Replaces strategies by their names, on a machine that may have a TPU's library or GPUs."""

    def put(libtpu=False, gpus=0):
        for name in ("MirroredStrategy", "MultiWorkerMirroredStrategy", "get_strategy"):
            monkeypatch.setattr(tf.distribute, name, lambda name=name, **_: name)
        monkeypatch.setattr(trainer.strategy, "_tpu", lambda name: f"TPU {name}")
        found = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: libtpu if name == "libtpu" else found(name))
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * (gpus if kind == "GPU" else 1))

    return put


def test_a_name_that_is_none_is_refused():
    with pytest.raises(SettingError) as error:
        build_strategy("Mirrored")
    assert error.value.setting == "strategy"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("default", "get_strategy"),
        ("mirrored", "MirroredStrategy"),
        ("multi_worker", "MultiWorkerMirroredStrategy"),
        ("tpu", "TPU local"),
        ("tpu:grpc://10.0.0.2:8470", "TPU grpc://10.0.0.2:8470"),
    ],
)
def test_a_name_is_what_it_says_whatever_there_is(name, kind, stand_ins, monkeypatch):
    stand_ins(libtpu=True, gpus=2)
    monkeypatch.setenv("TF_CONFIG", TWO)
    monkeypatch.setenv("TPU_NAME", "other")
    assert build_strategy(name) == kind


@pytest.mark.parametrize(
    ("environment", "machine", "kind"),
    [
        ({}, {}, "get_strategy"),
        ({}, {"gpus": 1}, "get_strategy"),
        ({}, {"gpus": 2}, "MirroredStrategy"),
        ({}, {"libtpu": True, "gpus": 2}, "TPU local"),
        ({"TPU_NAME": "mine"}, {"libtpu": True}, "TPU mine"),
        ({"TPU_NAME": ""}, {}, "get_strategy"),
        ({"TF_CONFIG": TWO}, {}, "get_strategy"),
        ({"TF_CONFIG": TWO}, {"gpus": 2}, "MirroredStrategy"),
        ({"TF_CONFIG": "no JSON"}, {}, "get_strategy"),
    ],
)
def test_auto_takes_the_most_there_is(environment, machine, kind, stand_ins, monkeypatch):
    stand_ins(**machine)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert build_strategy("auto") == kind


@pytest.mark.parametrize(("gpus", "kind"), [(0, "get_strategy"), (2, "MirroredStrategy")])
def test_auto_says_in_a_line_that_a_tpu_does_not_answer_and_takes_the_next(gpus, kind, stand_ins, monkeypatch, caplog):
    tpu = trainer.strategy._tpu
    stand_ins(gpus=gpus)
    monkeypatch.setattr(trainer.strategy, "_tpu", tpu)
    monkeypatch.setenv("TPU_NAME", "grpc://127.0.0.1:1")
    assert build_strategy("auto") == kind
    (record,) = caplog.records
    assert "grpc://127.0.0.1:1" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_auto_does_without_a_library_for_tpus_where_tensorflow_has_no_kernels_for_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "libtpu")
    assert build_strategy("auto") is build_strategy("default")


def test_auto_on_this_machine_builds_a_strategy_that_writes():
    assert is_chief(build_strategy("auto"))


@pytest.mark.parametrize("config", ["", "{}", '{"cluster": {}}'])
def test_workers_without_addresses_are_the_users_error(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError) as error:
        build_strategy("multi_worker")
    assert error.value.failure.value == config


@pytest.mark.parametrize(
    "config", ["no JSON", "[]", '{"cluster": 3}', '{"cluster": {"worker": 5}}', '{"cluster": {"worker": [7]}}']
)
def test_a_cluster_that_is_none_is_shown(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError) as error:
        build_strategy("multi_worker")
    assert error.value.failure.value == config


@pytest.mark.parametrize("config", [TWO, CHIEF])
def test_of_several_workers_none_may_train_for_itself(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError) as error:
        check_workers_share(tf.distribute.MirroredStrategy(["CPU:0"]))
    assert error.value.failure.value == "MirroredStrategy"
    check_workers_share(tf.distribute.MultiWorkerMirroredStrategy.__new__(tf.distribute.MultiWorkerMirroredStrategy))


@pytest.mark.parametrize("config", ["", ONE])
def test_one_worker_may_have_any_strategy(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    check_workers_share(build_strategy("default"))


@pytest.mark.parametrize("task", ["", ', "task": 3', ', "task": {"type": "worker", "index": 2}'])
def test_a_worker_without_a_place_in_the_cluster_is_the_users_error(task, monkeypatch):
    config = TWO[: TWO.index(', "task"')] + task + "}"
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError) as error:
        build_strategy("multi_worker")
    assert error.value.failure.value == config
    assert error.value.failure.cause


def test_a_tensorflow_without_tpu_kernels_says_what_to_install():
    with pytest.raises(UserError) as error:
        build_strategy("tpu")
    assert error.value.failure.value == tf.__version__


def test_a_tpu_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", None)  # never comes to it, and cannot be undone
    with socket.socket() as silent:  # its port is taken, and nobody listens
        silent.bind(("127.0.0.1", 0))
        address = f"grpc://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError) as error:
            build_strategy(f"tpu:{address}")
    assert error.value.failure.value == address
    assert "refused" in error.value.failure.cause


@pytest.mark.parametrize("error", [OSError("no such host"), ValueError("no such zone"), RuntimeError("preempted")])
def test_a_tpu_that_cannot_be_found_is_named_with_the_reason(error, monkeypatch):
    def fail(name):
        raise error

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", fail)
    with pytest.raises(UserError) as raised:
        build_strategy("tpu:mine")
    assert (raised.value.failure.value, raised.value.failure.cause) == ("mine", str(error))


def test_one_replica_has_every_row():
    array, rows = np.arange(10) ** 2, np.array([[3, 1], [9, 0]])
    np.testing.assert_array_equal(shard(build_strategy("default"), array, rows), array[rows])


def test_one_worker_agrees_with_itself():
    check_agreement(build_strategy("default"), 7, "steps", "folder")


def test_a_worker_whose_peers_have_left_ends_well(monkeypatch):
    def gone(*_, **__):
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    strategy = tf.distribute.get_strategy()
    leave_together(strategy)
    monkeypatch.setattr(strategy, "gather", gone)
    leave_together(strategy)
