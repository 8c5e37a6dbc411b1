"""Gathers the facts of a model card from what the pusher is given."""

import contextlib
import datetime
import importlib.metadata
import math
import os
from collections.abc import Iterator

from tfx.types import standard_component_specs as specs

from components.artifacts import Artifacts
from components.card.card import Card, Data, Measure, Serving, Training, stamp
from components.card.names import model_identity
from components.gate.sums import Metrics, interval
from components.gate.verdict import Verdict
from components.ingest.duplicates import shared_images
from components.ingest.properties import images_in, span_name, span_number, unreadable_images
from components.train.code import CODE, code_of
from trainer.carried import read_carried
from trainer.errors import UserError
from trainer.storage.digests import Digests
from trainer.training.record import pace
from trainer.units import read_units


def card_of(
    base: str, model: str, digests: Digests, verdict: Verdict, source: str, inputs: Artifacts, run: str | None
) -> Card:
    """Returns the card of a model that is pushed, without the number of its version.

    A fact that is missing is left out: it is no reason not to push a model that the gate has blessed.

    Args:
      base: the push directory.
      model: path of the SavedModel.
      digests: of its files.
      verdict: the gate's.
      source: name of the data set, or path of the data.
      inputs: of the pusher.
      run: id of the run.
    """
    return Card(
        version=0,
        series=os.path.basename(base),
        time=stamp(datetime.datetime.now(datetime.UTC)),
        model=model_identity(digests),
        run=run,
        figures=_figures(verdict.candidate),
        baseline=verdict.baseline and _figures(verdict.baseline),
        labels={label: _figures(metrics) for label, metrics in verdict.labels.items()},
        notes=verdict.notes,
        measure=_measure(model, verdict.candidate),
        data=_data(source, inputs),
        serving=_serving(verdict),
        training=_training(model),
        libraries=dict(_versions("vaeiaf", *CODE["Trainer"].libraries)),
        code=code_of("Trainer"),
    )


def _versions(*names: str) -> Iterator[tuple[str, str]]:
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # the project may run without installation
            yield name, importlib.metadata.version(name)


def _figures(metrics: Metrics) -> Metrics:
    """Returns the finite numbers, with the 95 % interval of the ELBO."""
    lower, upper = interval(metrics.get("elbo", math.nan), metrics.get("elbo_standard_error", math.nan))
    found = {**metrics, "elbo_lower": lower, "elbo_upper": upper}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _measure(model: str, metrics: Metrics) -> Measure | None:
    try:
        units = read_units(model)
    except UserError:
        return None
    bits = units.bits_per_dim(metrics["elbo"]) if "elbo" in metrics else None
    return Measure(str(units), units.likelihood, units.shape, bits)


def _data(source: str, inputs: Artifacts) -> Data | None:
    examples = sorted(inputs.get(specs.EXAMPLES_KEY) or [], key=span_number)
    if not examples:
        return None
    return Data(
        source=source,
        train_images=sum(images_in(one, "train") for one in examples),
        test_images=sum(images_in(one, "test") for one in examples),
        spans=[name for name in map(span_name, examples) if name],
        shared_images=sum(map(shared_images, examples)),
        unreadable_images=sum(map(unreadable_images, examples)),
    )


def _serving(verdict: Verdict) -> Serving | None:
    found = verdict.serving
    if found is None or found.loaded_seconds is None or found.elbo_difference is None:
        return None
    latency = {
        name: {images: [took.median, took.most] for images, took in sizes.items()}
        for name, sizes in found.latency.items()
    }
    return Serving(found.loaded_seconds, found.elbo_difference, latency)


def _training(model: str) -> Training | None:
    """Returns what the SavedModel at the path `model` carries of its training."""
    history = read_carried(model)
    if history is None:
        return None
    found, (seconds, speed) = history["quality"] or {}, pace(history)
    bound, gain = found.get("importance_weighted_bound"), found.get("gain")
    return Training(
        recipe=history["config"],
        epochs=len(history["epochs"]),
        best_epoch=history["best_epoch"],
        seconds=seconds,
        images_per_second=speed,
        importance_weighted_bound=bound,
        importance_samples=history["config"]["importance_samples"],
        base_model=history.get("base_model"),
        **_ends("bound", bound, found.get("bound_half_width")),
        bound_gain=gain,
        **_ends("bound_gain", gain, found.get("gain_half_width")),
        bound_images=found.get("images"),
    )


def _ends(name: str, mean: float | None, half_width: float | None) -> dict[str, float]:
    """Returns the ends of an interval by their names; nothing if an earlier version trained, or of a single image."""
    if mean is None or half_width is None or not math.isfinite(half_width):
        return {}
    return {f"{name}_lower": mean - half_width, f"{name}_upper": mean + half_width}
