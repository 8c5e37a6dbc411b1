"""The shape of an image. The data give it, and every exported model states it."""

import math
from typing import NamedTuple

CHANNELS = (1, 3, 4)
THEIRS = "data"  # instead of a shape: the images' own
VALID = "height x width x channels, with 1 channel for grey, 3 for RGB or 4 for RGBA"


class Shape(NamedTuple):
    """The shape of an image, written as in 28x28x1."""

    height: int  # pixels
    width: int  # pixels
    channels: int  # one of CHANNELS

    @property
    def size(self) -> int:
        """The number of values of an image, D."""
        return math.prod(self)

    @property
    def is_valid(self) -> bool:
        """Whether images may have this shape."""
        return self.height > 0 and self.width > 0 and self.channels in CHANNELS

    def __str__(self) -> str:
        return "x".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Undoes `str`.

        Raises:
          ValueError: `text` is no valid shape.
        """
        sizes = [int(size) for size in text.split("x")]
        if len(sizes) != len(cls._fields) or not (shape := cls(*sizes)).is_valid:
            raise ValueError(text)
        return shape


UNSTATED = Shape(32, 32, 3)  # of a model or Examples that do not state their shape, as those of earlier versions
