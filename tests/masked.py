"""The weights of a masked layer as the one matrix whose blocks it keeps."""

import numpy as np


def matrix(layer):
    """[inputs, outputs]; what the layer does not keep, which its mask would set to zero, is not a number."""
    whole, start = np.full([max(block.shape[0] for block in layer.w), layer.b.shape[0]], np.nan), 0
    for block in layer.w:
        whole[: block.shape[0], start : start + block.shape[1]] = block
        start += block.shape[1]
    return whole


def assign(layer, whole):
    """Gives the layer its part of the matrix."""
    start = 0
    for block in layer.w:
        block.assign(whole[: block.shape[0], start : start + block.shape[1]])
        start += block.shape[1]
