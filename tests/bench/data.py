"""Images to measure with: random ones, or CIFAR-10 where it is prepared."""

import numpy as np

from trainer.images import IMAGE_SIZE, ImageSet


def random_images(count: int) -> ImageSet:
    """Random bytes."""
    return ImageSet(
        np.random.default_rng(0).integers(0, 256, [count, IMAGE_SIZE], dtype=np.uint8), np.arange(count, dtype=np.int64)
    )
