"""The weights of a masked layer as one matrix, of which the layer stores blocks."""

import numpy as np


def matrix(layer, inputs):
    """The matrix [inputs, outputs], with NaN where the layer stores nothing because its mask is zero."""
    whole = np.full([inputs, layer.b.shape[0]], np.nan)
    for block, part in _parts(layer):
        whole[part] = block
    return whole


def assign(layer, whole):
    """Assigns the matrix to the blocks of the layer."""
    for block, part in _parts(layer):
        block.assign(whole[part])


def _parts(layer):
    """Every block with its place in the matrix."""
    end = 0
    for block, (rows, _, columns) in zip(layer.w, layer._blocks, strict=True):
        start, end = end, end + len(columns)
        yield block, (rows, slice(start, end))
