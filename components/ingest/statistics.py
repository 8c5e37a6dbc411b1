"""Options of TFDV's statistics, and the statistics of an artifact."""

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils

QUANTILES = 100  # buckets of a histogram of equal shares, in which `components.drift.bins` interpolates
FILE = "FeatureStats.pb"  # TFX's, in the folder of a split


def options() -> tfdv.StatsOptions:
    """Returns the options of all statistics."""
    return tfdv.StatsOptions(num_quantiles_histogram_buckets=QUANTILES)


def read_statistics(artifact: Artifact) -> dict[str, statistics_pb2.DatasetFeatureStatistics]:
    """Returns the statistics of each split."""
    names = artifact_utils.decode_split_names(artifact.split_names)
    folders = {name: artifact_utils.get_split_uri([artifact], name) for name in names}
    return {name: parsed(io_utils.read_bytes_file(f"{folder}/{FILE}")) for name, folder in folders.items()}


def parsed(content: bytes) -> statistics_pb2.DatasetFeatureStatistics:
    """Returns the statistics of one set of Examples from their serialized form."""
    (found,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
    return found
