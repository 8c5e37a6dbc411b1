"""Which devices and processes share a step: one `tf.distribute` strategy, by name."""

import contextlib
import importlib.util
import json
import logging
import os
import socket
import urllib.parse
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.errors import UserError, reason
from trainer.settings import Execution

log = logging.getLogger(__name__)

COLLECTIVE_BYTES = 4_000_000  # of gradients that are added up at once: a quarter faster than each for itself
COLLECTIVE_SECONDS = 600.0  # that a worker waits for the others, which may still be reading data or compiling
KNOCK_SECONDS = 10.0  # that a TPU gets to answer


def build_strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of that name; multi_worker has to be built before TensorFlow has done any work.

    `auto` is a TPU that answers, all GPUs of this machine where there are several, and else the default device. It is
    of one process: several get multi_worker from `trainer.workers.job`, or each would take what it finds for its own.

    Raises:
      SettingError: there is no such name.
      UserError: what it needs is not there.
    """
    Execution(strategy=name)  # raises
    if name == "auto":
        return _found()
    kind, _, resolver = name.partition(":")
    strategies: dict[str, Callable[[], tf.distribute.Strategy]] = {
        "default": tf.distribute.get_strategy,
        "mirrored": tf.distribute.MirroredStrategy,
        "multi_worker": _multi_worker,
        "tpu": lambda: _tpu(resolver or "local"),
    }
    return strategies[kind]()


def shard(strategy: tf.distribute.Strategy, array: np.ndarray, rows: np.ndarray) -> tf.Tensor:
    """array[rows], with an equal part of the last axis of `rows` for each replica, as `strategy.run` takes it.

    A worker reads no more of `array` than its replicas need.
    """
    parts = np.split(rows, strategy.num_replicas_in_sync, axis=-1)
    return strategy.experimental_distribute_values_from_function(
        lambda replica: tf.constant(array[parts[replica.replica_id_in_sync_group]])
    )


def check_agreement(strategy: tf.distribute.Strategy, number: int, what: str, folder: str) -> None:
    """Raises UserError, in every worker, unless all of them have the same `number`."""
    if len(set(_gathered(strategy, number))) > 1:
        raise UserError(
            f"this worker has {number} {what}, others another number: expected that every worker sees the same folder "
            f"{folder}, on a disk that they share"
        )


def leave_together(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers have come here, each of which may end then.

    To TensorFlow an answer is sent once it waits to be written. A worker that ends meanwhile takes it along, and the
    one that needs it fails. Nobody needs those of this last exchange, so whoever misses one may end too.
    """
    with contextlib.suppress(tf.errors.OpError):
        _gathered(strategy, 0)


def check_workers_share(strategy: tf.distribute.Strategy) -> None:
    """Raises UserError if TF_CONFIG names several workers, and `strategy` leaves each of them to train for itself."""
    workers = len(_workers())
    if workers > 1 and not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        raise UserError(
            f"TF_CONFIG names {workers} workers: expected strategy multi_worker, got {type(strategy).__name__}, under "
            "which each of them would train alone and write over what the others wrote"
        )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes."""
    return strategy.extended.should_checkpoint


def _gathered(strategy: tf.distribute.Strategy, number: int) -> np.ndarray:
    """The `number` of every replica."""
    numbers = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([number]))
    return strategy.gather(numbers, axis=0).numpy()


def _found() -> tf.distribute.Strategy:
    name = os.environ.get("TPU_NAME") or ("local" if importlib.util.find_spec("libtpu") else None)
    if name:
        try:
            return _tpu(name)
        except UserError as error:
            log.warning("%s; going on without", reason(error))
    return build_strategy("mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "default")


def _workers() -> list[str]:
    """Addresses of the workers that TF_CONFIG names."""
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        cluster = json.loads(text).get("cluster", {})
        return [*cluster.get("chief", []), *cluster.get("worker", [])]
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"TF_CONFIG: expected JSON with a cluster and a task, got {text!r}") from error


def _multi_worker() -> tf.distribute.Strategy:
    if not _workers():
        raise UserError(
            "strategy multi_worker: expected the environment variable TF_CONFIG with the addresses of the workers"
        )
    options = tf.distribute.experimental.CommunicationOptions(
        bytes_per_pack=COLLECTIVE_BYTES, timeout_seconds=COLLECTIVE_SECONDS
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(f"TF_CONFIG={os.environ['TF_CONFIG']}: the workers cannot be set up: {error}") from error


def _tpu(name: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        if name != "local":
            _knock(resolver.master())
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except tf.errors.NotFoundError as error:
        raise UserError(
            f"strategy tpu: this TensorFlow, {tf.__version__}, has no TPU kernels: install tensorflow-tpu in its "
            "place on a machine with a TPU, or choose another strategy"
        ) from error
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(f"strategy tpu: no TPU answers to {name!r}: {error}") from error
    return tf.distribute.TPUStrategy(resolver)


def _knock(address: str) -> None:
    """Raises OSError if nobody is there, whom TensorFlow would wait for without an end."""
    parts = urllib.parse.urlsplit(address)
    socket.create_connection((parts.hostname, parts.port), timeout=KNOCK_SECONDS).close()
