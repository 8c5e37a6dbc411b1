"""Numbers that describe an image's pixels: features of its Example, for statistics and the comparison of data sets.

With the luminance Y = 0.299 R + 0.587 G + 0.114 B of pixels in [0, 1] (ITU-R BT.601; Y is the pixel itself in a grey
image), P pixels, and without alpha:

    brightness = mean Y                                        in [0, 1]
    contrast   = sqrt(mean (Y - brightness)^2)                 in [0, 0.5]
    saturation = mean (max(R, G, B) - min(R, G, B)) / max(R, G, B), 0 for black; so 0 in a grey image, in [0, 1]
    sharpness  = sqrt(mean L^2), L = 4 Y - the four neighbours of Y, where the edge repeats    in [0, 4]
    entropy    = -sum p log2 p over the shares p of Y's 256 levels, rounded                    bits, in [0, 8]
    bytes      = size of the encoded image                     bytes

Shuffled pixels change the sharpness alone, and the size.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from components.ingest.fitting import LUMINANCE

NUMBERS = ("brightness", "contrast", "saturation", "sharpness", "entropy", "bytes")
VALUES_AT_ONCE = 2**18  # bounds the memory, and fits into a CPU's cache
LEVELS = 256


def image_numbers(pixels: np.ndarray, encoded: Iterable[bytes]) -> dict[str, np.ndarray]:
    """Computes the `NUMBERS` of uint8 images [N, H, W, C], whose files are `encoded`; each number is float32 [N]."""
    step = max(1, VALUES_AT_ONCE // max(1, pixels[:1].size))
    found = [list(_numbers(pixels[first : first + step])) for first in range(0, len(pixels), step)]
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)] or [np.zeros(0)] * (len(NUMBERS) - 1)
    sizes = np.array([len(image) for image in encoded])
    return {name: column.astype(np.float32) for name, column in zip(NUMBERS, [*columns, sizes], strict=True)}


def _numbers(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yields each number but `bytes` of images [N, H, W, C], [N]."""
    colours = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
    y = _luminance(colours)
    count, area = len(y), y[0].size
    yield (brightness := y.reshape(count, area).mean(axis=1))
    yield (y - brightness[:, None, None]).reshape(count, area).std(axis=1)
    yield _saturation(colours).reshape(count, area).mean(axis=1)
    edged = np.pad(y, [(0, 0), (1, 1), (1, 1)], mode="edge")
    curve = 4 * y - edged[:, :-2, 1:-1] - edged[:, 2:, 1:-1] - edged[:, 1:-1, :-2] - edged[:, 1:-1, 2:]
    yield np.sqrt(np.square(curve).reshape(count, area).mean(axis=1))
    yield _entropy(y)


def _luminance(colours: np.ndarray) -> np.ndarray:
    """Returns Y, [N, H, W] float32 in [0, 1]."""
    if colours.shape[-1] == 1:
        return colours[..., 0].astype(np.float32) / 255
    return colours.astype(np.float32) @ (LUMINANCE / 255).astype(np.float32)


def _saturation(colours: np.ndarray) -> np.ndarray:
    """Returns each pixel's saturation, [N, H, W]."""
    channels = [colours[..., i] for i in range(colours.shape[-1])]
    high, low = channels[0], channels[0]
    for channel in channels[1:]:
        high, low = np.maximum(high, channel), np.minimum(low, channel)
    return (high - low) / np.maximum(high, 1).astype(np.float32)


def _entropy(y: np.ndarray) -> np.ndarray:
    """Returns the entropy of each image's levels, [N], in bits."""
    count, area = len(y), y[0].size
    levels = np.rint(y * (LEVELS - 1)).astype(np.int64).reshape(count, area)
    levels += np.arange(count)[:, None] * LEVELS
    shares = np.bincount(levels.reshape(-1), minlength=count * LEVELS).reshape(count, LEVELS) / area
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(axis=1)
