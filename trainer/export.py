"""The SavedModel: the model and its preprocessing graph, for evaluation and serving."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from trainer.carried import write_carried
from trainer.evaluate import image_elbo
from trainer.images import EXAMPLE_FEATURES, Transform, fingerprint, noise_seed, to_bytes
from trainer.model.latent_model import Joint, LatentModel
from trainer.model.likelihoods.pixels import PixelModel
from trainer.shape import Shape
from trainer.storage.atomic import whole
from trainer.units import Units, write_units
from trainer.warmup import Trained, write_warmup

Signature = Callable[..., dict[str, tf.Tensor]]

NAMES = (
    *("evaluate", "reconstruct", "reconstruct_pixels", "encode", "encode_pixels", "decode"),
    *("sample", "sample_at_temperature"),
)

ENCODED = tf.TensorSpec([None], tf.string, name="images")
SERIALIZED = tf.TensorSpec([None], tf.string, name="examples")


class Servable(tf.Module):
    """The exported module.

    Args:
      model: the trained model.
      pixels: moments of the training images, for the bound of a model that ignores its input.
      samples: draws of z per image for an ELBO, K.
      transform: maps features of Examples to model input, the graph of the Transform component. Every signature that
        takes images applies it. It takes encoded images, so the signatures of pixels encode them losslessly first.
      shape: of the images, H x W x C.
    """

    def __init__(
        self, model: LatentModel, pixels: PixelModel, samples: int, transform: Transform, shape: Shape
    ) -> None:
        super().__init__()
        self.model = model
        self.transform = transform
        self._independent = model.likelihood.independent(pixels)
        self._samples = samples
        self._shape = shape
        self._size, self._images = shape.size, tf.TensorSpec([None, *shape], tf.uint8, name="images")
        self.reconstruct_pixels = tf.function(self._reconstruct_pixels, input_signature=[self._images])
        self.encode_pixels = tf.function(self._encode_pixels, input_signature=[self._images])
        latents = tf.TensorSpec([None, model.latent_size], tf.float32, name="latents")
        self.decode = tf.function(self._decode, input_signature=[latents])

    @tf.function(input_signature=[SERIALIZED])
    def evaluate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes each image's ELBO, its parts, and two bounds for comparison; all [B], nats.

        `independent_pixels` is log p(x) of independent pixels with the moments of the training images, which a
        useful model exceeds. `ceiling` is the largest possible log p(x|z). `fingerprint` is a number below 2^31 from
        the image's id and bytes.
        """
        raw = tf.io.parse_example(examples, EXAMPLE_FEATURES)
        features = self.transform(raw)
        x = tf.ensure_shape(features["image"], [None, self._size])
        result = image_elbo(self.model, x, noise_seed(features["id"]), self._samples)
        return {
            **result._asdict(),
            "independent_pixels": self._independent.log_prob(x),
            "ceiling": self.model.likelihood.ceiling(x),
            "fingerprint": fingerprint(raw["id"], raw["image"]),
        }

    @tf.function(input_signature=[ENCODED])
    def reconstruct(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reconstructs encoded images [B] as images [B, H, W, C] uint8."""
        return {"images": self._as_images(self._posterior_centre(images).pixels.mean())}

    @tf.function(input_signature=[ENCODED])
    def encode(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Maps encoded images [B] to latents [B, L]."""
        return {"latents": self._posterior_centre(images).z}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="n"), tf.TensorSpec([], tf.int32, name="seed")])
    def sample(self, n: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes n draws from the prior, [n, H, W, C] uint8; the same seed gives the same images."""
        return self.sample_at_temperature(n, seed, tf.constant(1.0))

    @tf.function(
        input_signature=[
            tf.TensorSpec([], tf.int32, name="n"),
            tf.TensorSpec([], tf.int32, name="seed"),
            tf.TensorSpec([], tf.float32, name="temperature"),
        ]
    )
    def sample_at_temperature(self, n: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes n draws from the prior with its standard deviation times `temperature`; at 1 as `sample`."""
        eps = tf.random.stateless_normal(tf.stack([n, self.model.latent_size]), tf.stack([seed, 0]))
        return {"images": self._as_images(self.model.sample(temperature * eps))}

    def _reconstruct_pixels(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reconstructs images [B, H, W, C] uint8."""
        return self.reconstruct(_encoded(images))

    def _encode_pixels(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Maps images [B, H, W, C] uint8 to latents [B, L]."""
        return self.encode(_encoded(images))

    def _decode(self, latents: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes latents [B, L] as images [B, H, W, C] uint8."""
        return {"images": self._as_images(self.model.decode(latents).mean())}

    def _as_images(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(to_bytes(x), [-1, *self._images.shape[1:]])

    def _posterior_centre(self, images: tf.Tensor) -> Joint:
        """Draws from q(z|x) without noise: latents [B, L] of encoded images [B], and p(x|z) there."""
        count = tf.shape(images)[:1]
        raw = {"image": images, "id": tf.fill(count, "")}
        x = tf.ensure_shape(self.transform(raw)["image"], [None, self._size])
        return self.model.joint(x, tf.zeros([count[0], self.model.latent_size]))

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name; `serving_default` is `reconstruct`."""
        return {**{name: getattr(self, name) for name in NAMES}, "serving_default": self.reconstruct}

    def trained(self) -> Trained:
        """Returns the model in memory, whose answers the exported one must give."""
        return Trained(self.model, self._independent, self._samples, self._shape)


def save(
    servable: Servable,
    units: Units,
    path: str,
    examples: Sequence[bytes] = (),
    history: dict[str, Any] | None = None,
) -> None:
    """Writes `servable` atomically to the folder `path`, as a SavedModel that states the units of its ELBO.

    Serialized test Examples become its warm-up requests. Without any it has none, and is not pushed. It carries the
    `history` of its training, with which the report of a later run compares.

    Raises:
      StorageError: it cannot be written.
    """
    with whole("the model", path) as unfinished:
        tf.saved_model.save(servable, unfinished, signatures=servable.signatures())
        write_units(units, unfinished)
        if history:
            write_carried(history, unfinished)
        if examples:
            write_warmup(servable.trained(), examples, unfinished)


def _encoded(images: tf.Tensor) -> tf.Tensor:
    """Encodes images [B, H, W, C] uint8 as PNG [B], the input of a Transform graph."""
    return tf.io.encode_png(images, compression=0)
