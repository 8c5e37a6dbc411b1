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


def read_statistics(artifact: Artifact) -> list[statistics_pb2.DatasetFeatureStatistics]:
    """Returns the statistics of each split."""
    folders = (artifact_utils.get_split_uri([artifact], name) for name in splits_of(artifact))
    return [parsed(io_utils.read_bytes_file(f"{folder}/{FILE}")) for folder in folders]


def parsed(content: bytes) -> statistics_pb2.DatasetFeatureStatistics:
    """Returns the statistics of one set of Examples from their serialized form."""
    (found,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
    return found


def splits_of(artifact: Artifact) -> list[str]:
    """Returns the names of the splits of Examples or statistics."""
    return list(artifact_utils.decode_split_names(artifact.split_names))
