"""Options of TFDV's statistics, which bound their memory."""

import tensorflow_data_validation as tfdv


def options() -> tfdv.StatsOptions:
    """Returns the options of all statistics.

    Each batch of Examples is counted when it is read; TFDV would keep a thousand images for each of its accumulators.
    Values are counted in sketches, where TFDV would group all ids: the most frequent values are exact up to about a
    thousand values of a feature, the number of unique ones up to 16,384.
    """
    return tfdv.StatsOptions(desired_batch_size=1, use_sketch_based_topk_uniques=True)
