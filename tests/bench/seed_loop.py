"""The training loop of the seed's text, with its mathematics corrected and nothing else changed."""

from collections.abc import Iterator

import keras
import tensorflow as tf

from tests.bench.data import SHAPE
from trainer.images import ImageSet
from trainer.model.build import build
from trainer.model.objective import draw
from trainer.model.vae import VAE
from trainer.settings import TrainConfig


class KerasDense(tf.Module):
    """The layer of the seed's text, with weights [inputs, outputs], the faster layout without XLA."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.w = tf.Variable(keras.initializers.GlorotUniform(seed=0)([inputs, outputs]))
        self.b = tf.Variable(tf.zeros([outputs]))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, self.w) + self.b


def compute_loss(model: VAE, x: tf.Tensor) -> tf.Tensor:
    eps = tf.random.normal([tf.shape(x)[0], model.latent_size])
    return -tf.reduce_mean(draw(model, x, eps).elbo().elbo)


@tf.function
def compute_apply_gradients(model: VAE, x: tf.Tensor, optimizer: keras.optimizers.Optimizer) -> None:
    with tf.GradientTape() as tape:
        loss = compute_loss(model, x)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))


def flatten_image(image: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.cast(image, tf.float32) / 255.0, [SHAPE.size])


def train(config: TrainConfig, images: ImageSet) -> Iterator[int]:
    """Trains without end; yields the number of images of each step.

    The images are decoded in memory; the text decodes them in every epoch.
    """
    model = build(config, SHAPE)
    model.encoder.hidden = KerasDense(SHAPE.size, config.hidden_size)
    optimizer = keras.optimizers.Adam(config.learning_rate)
    optimizer.build(model.trainable_variables)
    cifar10_train = tf.data.Dataset.from_tensor_slices(images.pixels)
    while True:
        for train_x in cifar10_train.map(flatten_image).batch(config.batch_size, drop_remainder=True):
            compute_apply_gradients(model, train_x, optimizer)
            yield config.batch_size
