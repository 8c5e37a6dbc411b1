"""A model card with all facts."""

from typing import Any

from components.card.card import Card, Data, Measure, Serving, Training

TRAINING = Training(
    recipe={"seed": 7, "iaf_steps": 3, "epochs": 2},
    epochs=2,
    best_epoch=1,
    seconds=120.0,
    images_per_second=1750.0,
    importance_weighted_bound=-9.25,
    importance_samples=64,
    base_model=None,
    bound_lower=-9.5,
    bound_upper=-9.0,
    bound_gain=1.25,
    bound_gain_lower=1.125,
    bound_gain_upper=1.375,
    bound_images=1000,
)
CARD = Card(
    version=0,
    series="vaeiaf-photo_patches",
    time="2026-01-31 10:00 UTC",
    model="5f" * 32,
    run="2026-01-31T10:00:00.000000",
    figures={"elbo": -10.5, "elbo_lower": -11.25, "elbo_upper": -9.75, "images": 1234.0, "data_fingerprint": 255.0}
    | {"elbo_gain": 1.0, "elbo_gain_lower": 0.25, "elbo_gain_upper": 1.75, "kl": 3.0},
    baseline={"elbo": -11.5, "elbo_lower": -12.5, "elbo_upper": -10.5},
    labels={"cat": {"elbo": -9.0, "images": 600.0}, "dog": {"elbo": -12.0, "images": 634.0}},
    notes=["not compared with everything"],
    measure=Measure("logistic (nats per image), images of 32x32x3", "logistic", "32x32x3", 4.321),
    data=Data("photo_patches", 8000, 1234, ["2026-01-30", "2026-01-31"], shared_images=2, unreadable_images=3),
    serving=Serving(1.25, 0.0002, {"sample": {"1": [0.91, 1.06], "32": [0.061, 0.078]}}),
    training=TRAINING,
    libraries={"tensorflow": "2.21.0"},
    code="0123456789abcdef",
)


def card_with(**fields: Any) -> Card:
    """Returns the card with other `fields`."""
    return CARD._replace(**fields)
