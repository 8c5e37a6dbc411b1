"""Named training recipes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainer.schema import SettingError, check_needs, nearest
from trainer.settings import TrainConfig

_RESNET = TrainConfig(
    encoder="GaussianResNet",
    decoder="BernoulliResNet",
    channels=32,
    hidden_size=256,
    latent_size=128,
    iaf_hidden_size=512,
    batch_size=64,
    epochs=17,
    learning_rate=2e-3,
    warmup_epochs=0.5,
    clip_norm=200.0,
    ema_decay=0.999,
    horizontal_flips=True,
)

_LADDER = TrainConfig(
    encoder="GaussianLadder",
    decoder="DiscretizedLogisticMixtureLadder",
    channels=32,
    ladder_layers=1,
    latent_channels=8,
    iaf_steps=1,
    iaf_hidden_size=32,
    batch_size=32,
    epochs=3,
    learning_rate=4e-3,
    warmup_epochs=0.2,
    clip_norm=1000.0,  # acts in nearly all steps: docs/explanation/ladder.md
    ema_decay=0.995,
    horizontal_flips=True,
)

PRESETS = {
    # The recipe of the text that the model comes from, with its mathematics corrected.
    "seed": TrainConfig(batch_size=32, epochs=100, learning_rate=1e-4, schedule="constant"),
    # The same networks, trained well within minutes on two cores.
    "mlp": TrainConfig(
        batch_size=128,
        epochs=40,
        learning_rate=1e-3,
        schedule="cosine",
        warmup_epochs=0.5,  # a warm start needs it: docs/explanation/results.md
        horizontal_flips=True,
    ),
    # The best ELBO of Bernoulli pixels in a few minutes.
    "default": dataclasses.replace(_RESNET, epochs=8),
    # The same networks for longer.
    "resnet": _RESNET,
    # Discretized pixels: this needs many more latents, each near its part of the image.
    "logistic": dataclasses.replace(
        _RESNET,
        decoder="DiscretizedLogisticMixtureResNet",
        latent_size=1024,
        latent_maps=True,
        iaf_steps=1,
        epochs=8,
        learning_rate=4e-3,
        warmup_epochs=0.2,
        clip_norm=5000.0,  # its gradients are as much longer as its nats are more
    ),
    # Fewer bits/dim than `logistic` in a few minutes.
    "ladder_small": _LADDER,
    # The same networks for longer.
    "ladder": dataclasses.replace(_LADDER, epochs=10),
    # Small enough for the embedded data and a test machine.
    "smoke": TrainConfig(
        hidden_size=256,
        latent_size=64,
        iaf_steps=2,
        iaf_hidden_size=256,
        batch_size=64,
        epochs=30,
        warmup_epochs=0.5,
        held_out_fraction=0.05,
    ),
}


def recipe(preset: str, given: Mapping[str, Any]) -> TrainConfig:
    """Builds the recipe from the preset and the given settings.

    Raises:
      SettingError: there is no such preset, or a setting is invalid or has no meaning beside the others.
    """
    if preset not in PRESETS:
        raise SettingError("preset", f"one of {', '.join(PRESETS)}", preset, remedy=nearest(preset, PRESETS))
    config = TrainConfig(**{**PRESETS[preset].to_dict(), **given})
    check_needs(config, given)
    return config
