"""The curves of a training, over those of the served model."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from components.pages.charts import ACCENT, INK, Chart, chart

History = dict[str, Any]  # of trainer.training.record
NATS = "nats per image"


class Curve(NamedTuple):
    """A number after each epoch."""

    name: str  # of the chart's file
    title: str
    unit: str
    of: Callable[[dict[str, Any]], float]  # an epoch of a history


CURVES = (
    Curve("elbo", "ELBO", NATS, lambda epoch: epoch["test"]["elbo"]),
    Curve("reconstruction", "Reconstruction", NATS, lambda epoch: epoch["test"]["reconstruction"]),
    Curve("kl", "KL", NATS, lambda epoch: epoch["test"]["kl"]),
    Curve("images-per-second", "Training", "images per second", lambda epoch: epoch["images_per_second"]),
)


def curves(history: History, served: History | None = None) -> list[Chart]:
    """Draws the charts of `CURVES`, with gaps at non-finite values, over those of the served model if it has any."""
    return [_drawn(curve, history, served) for curve in CURVES]


def _drawn(curve: Curve, history: History, served: History | None) -> Chart:
    ours, theirs = _values(curve, history), _values(curve, served) if served else []

    def draw(axes: Axes) -> None:
        if theirs:
            axes.plot(*_points(theirs), ".-", color=INK, alpha=0.5, markersize=3, label="served model")
        if curve.name == "elbo":
            of_training = [epoch["train_elbo"] for epoch in history["epochs"]]
            held_out = [epoch["held_out"]["elbo"] for epoch in history["epochs"]]
            axes.plot(*_points(of_training), ":", color=ACCENT, label="training images")
            axes.plot(*_points(held_out), "--", color=ACCENT, label="held-out images")
        name = "this model" if theirs else "test images" if curve.unit == NATS else None
        axes.plot(*_points(ours), ".-", color=ACCENT, markersize=3, label=name)
        axes.axvline(history["best_epoch"], color=INK, alpha=0.5, linewidth=0.8, linestyle=":")
        axes.set(xlabel="epoch", title=f"{curve.title}, {curve.unit}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if theirs or curve.name == "elbo":
            axes.legend()

    told = [_told("this model", ours), *([_told("the served model", theirs)] if theirs else [])]
    return chart(f"curve-{curve.name}", f"{curve.title} after each epoch, {curve.unit}. {' '.join(told)}", draw)


def _values(curve: Curve, history: History) -> list[float]:
    return [curve.of(epoch) for epoch in history["epochs"]]


def _points(values: Sequence[float]) -> tuple[list[int], list[float]]:
    """Returns epochs and values, NaN where a value is infinite."""
    return [*range(1, len(values) + 1)], [value if math.isfinite(value) else math.nan for value in values]


def _told(model: str, values: Sequence[float]) -> str:
    return f"{model[0].upper()}{model[1:]}: from {values[0]:,.2f} to {values[-1]:,.2f} in {len(values)} epochs."
