"""Images between test images: straight lines between their latents, decoded."""

import numpy as np
import tensorflow as tf

from components.pages.pictures import image_grid, shown
from trainer.exported import Exported
from trainer.images import decode

STEPS = 8  # images of a line; the first and the last are the reconstructions of its ends


def interpolation(model: Exported, encoded: tf.Tensor) -> bytes | None:
    """Returns a PNG with a row for each two of the images [2 N]: one image, the way to the other, and that.

    The latents are centres of posteriors and not draws, so lines between them leave no shell that the prior fills, and
    a sphere has no advantage. None for a model that an earlier version exported without a decoder.
    """
    between = line(model.encode(encoded), STEPS)
    decoded = model.decode(between.reshape(-1, between.shape[-1]))
    if decoded is None:
        return None
    ends = decode(encoded, model.shape).numpy()
    steps = decoded.reshape(len(between), STEPS, *model.shape)
    rows = np.concatenate([ends[0::2, None], steps, ends[1::2, None]], axis=1)
    return image_grid(shown(rows.reshape(-1, *model.shape)), columns=STEPS + 2)


def line(latents: np.ndarray, steps: int) -> np.ndarray:
    """Returns `steps` equidistant points from each first to each second of latents [2 N, L], [N, steps, L]."""
    part = np.linspace(0.0, 1.0, steps, dtype=latents.dtype)[:, None]
    return (1.0 - part) * latents[0::2, None] + part * latents[1::2, None]
