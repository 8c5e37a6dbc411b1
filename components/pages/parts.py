"""What the pages about a run share: their pictures, and the parts that their templates are made of."""

import base64
import io
import os
import pathlib
from typing import Any, NamedTuple

import jinja2
import numpy as np
import tensorflow as tf

from components.gate.verdict import Metrics, interval
from trainer.images import EXAMPLE_FEATURES, IMAGE_SIZE, decode
from trainer.model.likelihoods import LIKELIHOODS, bits_per_dim
from trainer.units import Units

PARTS = pathlib.Path(__file__).parent  # where page.html.j2 and parts.html.j2 are
IMAGES = 10
SAMPLES = 40
MISSING = "n/a"


class Pictures(NamedTuple):
    """What a model makes of images, as PNG."""

    pairs: bytes  # a row of test images above a row of their reconstructions
    samples: bytes  # decoded from draws from the prior


def pictures(model: str, split: str) -> Pictures:
    """The pictures of the SavedModel at the path `model`, with test images from the folder `split` of Examples."""
    servable = tf.saved_model.load(model)
    originals = _test_images(split)
    reconstructions = servable.signatures["reconstruct"](images=originals)["images"]
    samples = servable.signatures["sample"](n=tf.constant(SAMPLES), seed=tf.constant(0))["images"]
    return Pictures(
        pairs=image_grid(np.concatenate([decode(originals), reconstructions]), columns=IMAGES),
        samples=image_grid(samples.numpy(), columns=IMAGES),
    )


def image_grid(images: np.ndarray, columns: int) -> bytes:
    """PNG of images [N, 32, 32, 3] uint8 laid out in rows of `columns`; N is a multiple of it."""
    count, height, width, channels = images.shape
    grid = images.reshape(count // columns, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return tf.io.encode_png(grid.reshape(count // columns * height, columns * width, channels)).numpy()


def elbo_curve(history: dict) -> bytes:
    """PNG of the ELBO after each epoch; epochs whose ELBO is not finite are gaps."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    epochs = [epoch["epoch"] for epoch in history["epochs"]]
    for name, values in {
        "train, while learning": [epoch["train_elbo"] for epoch in history["epochs"]],
        "held out": [epoch["held_out"]["elbo"] for epoch in history["epochs"]],
        "test": [epoch["test"]["elbo"] for epoch in history["epochs"]],
    }.items():
        axes.plot(epochs, values, marker=".", label=name)
    axes.axvline(history["best_epoch"], color="grey", linewidth=0.8, linestyle=":", label="exported epoch")
    axes.set_xlabel("epoch")
    axes.set_ylabel("ELBO, nats per image")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def render(template: pathlib.Path, **values: Any) -> str:
    """The page as HTML that the file `template` makes of `values`; it can extend and import what is in PARTS."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, PARTS]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"png": _png, "nats": _nats, "count": _count, "bits": _bits, "gain": _gain}
    return environment.get_template(template.name).render(values)


def _png(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _nats(value: Any) -> str:
    return MISSING if isinstance(value, jinja2.Undefined) else f"{value:.2f}"


def _count(value: Any) -> str:
    return MISSING if isinstance(value, jinja2.Undefined) else f"{value:,.0f}"


def _gain(candidate: Metrics) -> str:
    return interval(candidate) if "elbo_gain" in candidate else f"the gain is {MISSING}"


def _bits(elbo: Any, units: Units) -> str:
    """The ELBO in bits/dim, or nothing if the likelihood is no probability of pixels or there is no number."""
    likelihood = LIKELIHOODS[units.likelihood]
    if isinstance(elbo, jinja2.Undefined) or not np.isfinite(elbo) or not likelihood.IS_PROBABILITY:
        return ""
    return f"{bits_per_dim(likelihood, elbo, IMAGE_SIZE):.3f} bits/dim"


def _test_images(split: str) -> tf.Tensor:
    """Encoded test images, [IMAGES]: the first by id, so that every run's page shows the same ones."""
    dataset = tf.data.TFRecordDataset(tf.io.gfile.glob(os.path.join(split, "*")), compression_type="GZIP")
    dataset = dataset.batch(512).map(lambda serialized: tf.io.parse_example(serialized, EXAMPLE_FEATURES)).unbatch()
    by_id = {example["id"]: example["image"] for example in dataset.as_numpy_iterator()}
    first = sorted(by_id)[:IMAGES]
    return tf.constant([by_id[name] for name in (first * IMAGES)[:IMAGES]])
