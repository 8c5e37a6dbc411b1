"""Warm-up requests of an exported model, with the answers that the trained model in memory gives.

A TensorFlow Serving that loads a model first replays `assets.extra/tf_serving_warmup_requests`, so that no client waits
for the first call. It ignores the answers; the check before a push compares those of the exported model with them.
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2 as logs

from trainer.evaluate import image_elbo
from trainer.images import EXAMPLE_FEATURES, decode, fingerprint, noise_seed, to_bytes, to_unit_interval
from trainer.model.latent_model import LatentModel
from trainer.model.likelihoods import Likelihood
from trainer.shape import Shape

FILE = "assets.extra/tf_serving_warmup_requests"  # the name that TensorFlow Serving looks for
IMAGES = 4  # test images that a model carries
BATCHES = (1, IMAGES)  # images in a request
SEED, TEMPERATURE = 0, 0.5  # of the signatures that sample

Arrays = dict[str, Any]  # numpy arrays and scalars, by the name of the input or output


class Exchange(NamedTuple):
    """A request of a signature and its answer."""

    signature: str
    inputs: Arrays
    outputs: Arrays


class Trained(NamedTuple):
    """A trained model in memory, and what its answers depend on."""

    model: LatentModel
    independent: Likelihood  # of pixels with the training images' moments
    samples: int  # draws of z per image for an ELBO, K
    shape: Shape  # of the images


def write_warmup(trained: Trained, examples: Sequence[bytes], path: str) -> None:
    """Writes requests of every signature into the SavedModel at `path`.

    The images are the first `IMAGES` of the serialized `examples`, at least one; fewer are used again and again.
    """
    given = np.array((list(examples) * IMAGES)[:IMAGES], object)
    file = pathlib.Path(path, FILE)
    file.parent.mkdir(parents=True, exist_ok=True)
    # The check before a push has no GPU, and a GPU's products in TF32 differ by more than the check allows.
    with tf.io.TFRecordWriter(str(file)) as writer, tf.device("/CPU:0"):
        for exchange in _exchanges(trained, given):
            for images in BATCHES:
                writer.write(_log(_first(exchange, images)).SerializeToString(deterministic=True))


def read_warmup(path: str) -> list[Exchange]:
    """Reads the warm-up requests of the SavedModel at `path`, and their answers; empty without any."""
    file = pathlib.Path(path, FILE)
    if not file.is_file():
        return []
    found = map(logs.PredictionLog.FromString, tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    return [
        Exchange(
            log.predict_log.request.model_spec.signature_name,
            {name: tf.make_ndarray(tensor) for name, tensor in log.predict_log.request.inputs.items()},
            {name: tf.make_ndarray(tensor) for name, tensor in log.predict_log.response.outputs.items()},
        )
        for log in found
    ]


def _exchanges(trained: Trained, examples: np.ndarray) -> Iterator[Exchange]:
    """Yields a request of each signature with all images, answered by the trainer's code and not by the export's."""
    model, shape = trained.model, trained.shape
    features = tf.io.parse_example(tf.constant(examples), EXAMPLE_FEATURES)
    encoded, ids = features["image"], features["id"]
    images = decode(encoded, shape)
    x = to_unit_interval(images)
    as_images = lambda x: tf.reshape(to_bytes(x), [-1, *shape]).numpy()  # noqa: E731
    numbers = {
        **image_elbo(model, x, noise_seed(ids), trained.samples)._asdict(),
        "independent_pixels": trained.independent.log_prob(x),
        "ceiling": model.likelihood.ceiling(x),
        "fingerprint": fingerprint(ids, encoded),
    }
    yield Exchange("evaluate", {"examples": examples}, {name: part.numpy() for name, part in numbers.items()})
    centre = model.joint(x, tf.zeros([IMAGES, model.latent_size]))
    latents, reconstructed = centre.z, {"images": as_images(centre.pixels.mean())}
    forms = {"": {"images": encoded.numpy()}, "_pixels": {"images": images.numpy()}}
    for form, inputs in forms.items():
        yield Exchange(f"reconstruct{form}", inputs, reconstructed)
        yield Exchange(f"encode{form}", inputs, {"latents": latents.numpy()})
    yield Exchange("decode", {"latents": latents.numpy()}, reconstructed)
    yield Exchange("serving_default", forms[""], reconstructed)
    eps = tf.random.stateless_normal([IMAGES, model.latent_size], [SEED, 0])
    draws = {"n": np.int32(IMAGES), "seed": np.int32(SEED)}
    yield Exchange("sample", draws, {"images": as_images(model.sample(eps))})
    cooler = {"images": as_images(model.sample(TEMPERATURE * eps))}
    yield Exchange("sample_at_temperature", {**draws, "temperature": np.float32(TEMPERATURE)}, cooler)


def _first(exchange: Exchange, images: int) -> Exchange:
    """Returns the exchange with the first images alone. The first samples of a seed do not depend on their number."""

    def cut(arrays: Arrays) -> Arrays:
        first = {name: array[:images] if array.ndim else array for name, array in arrays.items()}
        return {**first, "n": np.int32(images)} if "n" in first else first

    return Exchange(exchange.signature, cut(exchange.inputs), cut(exchange.outputs))


def _log(exchange: Exchange) -> logs.PredictionLog:
    log = logs.PredictionLog()
    log.predict_log.request.model_spec.signature_name = exchange.signature
    for name, array in exchange.inputs.items():
        log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    for name, array in exchange.outputs.items():
        log.predict_log.response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
    return log
