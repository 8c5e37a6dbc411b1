"""The `tf.distribute` strategy: the devices and processes that share a training step."""

import contextlib
import importlib.util
import logging
import os
import socket
import urllib.parse
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.errors import UserError
from trainer.images import Pixels, will_need
from trainer.settings import Execution
from trainer.tf_config import addresses

log = logging.getLogger(__name__)

COLLECTIVE_BYTES = 4_000_000  # of gradients summed in one exchange: a quarter faster than one exchange each
COLLECTIVE_SECONDS = 600.0  # a worker's wait for the others, which may still read data or compile
KNOCK_SECONDS = 10.0  # a TPU's time to answer


def build_strategy(name: str) -> tf.distribute.Strategy:
    """Builds the strategy called `name`; multi_worker must be built before TensorFlow runs any operation.

    `auto` is a TPU if one answers, else all GPUs of this machine if it has several, else the default device. It is for
    a single process: `trainer.workers.job` gives several processes multi_worker.

    Raises:
      SettingError: the name is invalid.
      UserError: its devices, kernels or workers are missing.
    """
    Execution(strategy=name)  # raises
    kind, _, resolver = name.partition(":")
    strategies: dict[str, Callable[[], tf.distribute.Strategy]] = {
        "auto": _found,
        "default": tf.distribute.get_strategy,
        "mirrored": tf.distribute.MirroredStrategy,
        "multi_worker": _multi_worker,
        "tpu": lambda: _tpu(resolver or "local"),
    }
    return strategies[kind]()


def shard(strategy: tf.distribute.Strategy, array: Pixels, rows: np.ndarray) -> tf.Tensor:
    """Returns array[rows] for `strategy.run`, with an equal part of the last axis of `rows` for each replica.

    A worker reads only the rows of its own replicas.
    """
    parts = np.split(rows, strategy.num_replicas_in_sync, axis=-1)
    return strategy.experimental_distribute_values_from_function(
        lambda replica: tf.constant(array[parts[replica.replica_id_in_sync_group]])
    )


def read_ahead(strategy: tf.distribute.Strategy, array: Pixels, rows: np.ndarray) -> None:
    """Announces a `shard` with the same arguments, so that a disk reads the rows meanwhile."""
    parts = np.split(rows, strategy.num_replicas_in_sync, axis=-1)

    def announce(replica: tf.distribute.experimental.ValueContext) -> tf.Tensor:
        will_need(array, parts[replica.replica_id_in_sync_group])
        return tf.zeros([])

    strategy.experimental_distribute_values_from_function(announce)  # calls it for the replicas of this worker


def check_agreement(strategy: tf.distribute.Strategy, number: int, what: str, folder: str) -> None:
    """Raises UserError in every worker unless all have the same `number`."""
    if len(set(_gathered(strategy, number))) > 1:
        what = f"this worker has {number} {what}, another worker has a different number"
        raise UserError(what, value=number, remedy=f"Put {folder} on a disk that all workers share")


def leave_together(strategy: tf.distribute.Strategy) -> None:
    """Waits for all workers, so that each may exit.

    TensorFlow treats a queued reply as sent; a worker that exits early drops it, and the worker that needs it fails.
    No worker needs the replies of this last exchange, so a worker that misses one may exit too.
    """
    with contextlib.suppress(tf.errors.OpError):
        _gathered(strategy, 0)


def check_workers_share(strategy: tf.distribute.Strategy) -> None:
    """Raises UserError if TF_CONFIG names several workers and `strategy` would train separately in each of them."""
    workers = len(_workers())
    if workers > 1 and not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        what = f"the {workers} workers of TF_CONFIG would train separately and overwrite each other's files"
        raise UserError(what, value=type(strategy).__name__, valid="strategy multi_worker")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether this process writes the files."""
    return strategy.extended.should_checkpoint


def _gathered(strategy: tf.distribute.Strategy, number: int) -> np.ndarray:
    """Returns the `number` of every replica."""
    numbers = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([number]))
    return strategy.gather(numbers, axis=0).numpy()


def _found() -> tf.distribute.Strategy:
    name = os.environ.get("TPU_NAME") or ("local" if importlib.util.find_spec("libtpu") else None)
    if name:
        try:
            return _tpu(name)
        except UserError as error:
            log.warning("%s; training without it", error.failure.sentence)
    return build_strategy("mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "default")


def _workers() -> list[str]:
    """Lists the addresses of the workers in TF_CONFIG."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        return addresses(text)
    except ValueError as error:
        raise UserError("TF_CONFIG is malformed", value=text, valid="JSON with a cluster and a task") from error


def _multi_worker() -> tf.distribute.Strategy:
    if not _workers():
        valid = "their addresses in the environment variable TF_CONFIG"
        raise UserError("strategy multi_worker has no workers", value=os.environ.get("TF_CONFIG"), valid=valid)
    options = tf.distribute.experimental.CommunicationOptions(
        bytes_per_pack=COLLECTIVE_BYTES, timeout_seconds=COLLECTIVE_SECONDS
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
        text, valid = os.environ["TF_CONFIG"], "a cluster, and a task in it, in the environment variable TF_CONFIG"
        raise UserError("strategy multi_worker cannot be set up", value=text, valid=valid, cause=error) from error


def _tpu(name: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        if name != "local":
            _knock(resolver.master())
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except tf.errors.NotFoundError as error:
        what = f"strategy tpu: TensorFlow {tf.__version__} has no TPU kernels"
        remedy = "Install tensorflow-tpu in its place on a machine with a TPU, or choose another strategy"
        raise UserError(what, value=tf.__version__, remedy=remedy) from error
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        remedy = "Check that the TPU is running, or choose another strategy"
        raise UserError(f"strategy tpu: no TPU answers at {name!r}", value=name, remedy=remedy, cause=error) from error
    return tf.distribute.TPUStrategy(resolver)


def _knock(address: str) -> None:
    """Raises OSError if nothing listens at `address`; TensorFlow would wait for it forever."""
    parts = urllib.parse.urlsplit(address)
    socket.create_connection((parts.hostname, parts.port), timeout=KNOCK_SECONDS).close()
