"""The weights of a masked layer as the one matrix whose blocks it keeps."""

import numpy as np


def matrix(layer, inputs):
    """[inputs, outputs]; what the layer does not keep, which its mask would set to zero, is not a number."""
    whole = np.full([inputs, layer.b.shape[0]], np.nan)
    for block, part in _parts(layer):
        whole[part] = block
    return whole


def assign(layer, whole):
    """Gives the layer its part of the matrix."""
    for block, part in _parts(layer):
        block.assign(whole[part])


def _parts(layer):
    """Every block with the part of the matrix that it is."""
    end = 0
    for block, (rows, _, columns) in zip(layer.w, layer._blocks, strict=True):
        start, end = end, end + len(columns)
        yield block, (rows, slice(start, end))
