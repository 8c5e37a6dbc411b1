"""Report: one self-contained HTML page about a run, with its pictures."""

import base64
import io
import json
import os
import pathlib

import jinja2
import numpy as np
import tensorflow as tf
from tfx import types
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components.verdict import Verdict, interval, read_verdict
from trainer.images import EXAMPLE_FEATURES, IMAGE_SIZE, decode
from trainer.likelihoods import LIKELIHOODS, bits_per_dim
from trainer.units import Units, read_units

IMAGES = 10
SAMPLES = 40
SCALE = 2  # screen pixels per image pixel


class ReportPage(types.Artifact):
    """A folder with `index.html`."""

    TYPE_NAME = "VaeIafReport"


@component
def Report(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    model_run: InputArtifact[standard_artifacts.ModelRun],
    evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    pushed_model: InputArtifact[standard_artifacts.PushedModel],
    report: OutputArtifact[ReportPage],
):
    """Writes the page: verdict, ELBO per epoch, test images with reconstructions, samples from the prior."""
    history = json.loads(pathlib.Path(model_run.uri, "history.json").read_text())
    servable = tf.saved_model.load(path_utils.serving_model_path(model.uri))
    originals = _test_images(artifact_utils.get_split_uri([examples], "test"))
    reconstructions = servable.signatures["reconstruct"](images=originals)["images"]
    samples = servable.signatures["sample"](n=tf.constant(SAMPLES), seed=tf.constant(0))["images"]
    page = render(
        read_verdict(evaluation.uri),
        history,
        read_units(path_utils.serving_model_path(model.uri)),
        pushed_to=pushed_model.get_string_custom_property("pushed_destination")
        or pushed_model.get_string_custom_property("unchanged"),
        pairs=image_grid(np.concatenate([decode(originals), reconstructions]), columns=IMAGES),
        samples=image_grid(samples.numpy(), columns=IMAGES),
        curve=elbo_curve(history),
    )
    os.makedirs(report.uri, exist_ok=True)
    pathlib.Path(report.uri, "index.html").write_text(page)


def render(
    verdict: Verdict, history: dict, units: Units, pushed_to: str, pairs: bytes, samples: bytes, curve: bytes
) -> str:
    """The page as HTML; pictures are PNG bytes."""
    likelihood = LIKELIHOODS[units.likelihood]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["png"] = lambda data: "data:image/png;base64," + base64.b64encode(data).decode()
    return environment.get_template("report.html.j2").render(
        verdict=verdict,
        gain=interval(verdict.candidate) if verdict.baseline else "",
        history=history,
        units=units,
        bits_per_dim=bits_per_dim(likelihood, verdict.candidate["elbo"], IMAGE_SIZE)
        if likelihood.IS_PROBABILITY
        else None,
        pushed_to=pushed_to,
        pairs=pairs,
        samples=samples,
        curve=curve,
    )


def image_grid(images: np.ndarray, columns: int) -> bytes:
    """PNG of images [N, 32, 32, 3] uint8 laid out in rows of `columns`; N is a multiple of it."""
    count, height, width, channels = images.shape
    grid = images.reshape(count // columns, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    grid = grid.reshape(count // columns * height, columns * width, channels)
    return tf.io.encode_png(grid.repeat(SCALE, axis=0).repeat(SCALE, axis=1)).numpy()


def elbo_curve(history: dict) -> bytes:
    """PNG of the ELBO after each epoch."""
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
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _test_images(split: str) -> tf.Tensor:
    """Encoded test images, [IMAGES]: the first by id, so that every run's page shows the same ones."""
    dataset = tf.data.TFRecordDataset(tf.io.gfile.glob(os.path.join(split, "*")), compression_type="GZIP")
    dataset = dataset.batch(512).map(lambda serialized: tf.io.parse_example(serialized, EXAMPLE_FEATURES)).unbatch()
    by_id = {example["id"]: example["image"] for example in dataset.as_numpy_iterator()}
    first = sorted(by_id)[:IMAGES]
    return tf.constant([by_id[name] for name in (first * IMAGES)[:IMAGES]])
