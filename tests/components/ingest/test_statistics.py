import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.public import tfxio

from components.ingest.statistics import options
from crossing import bytes_between_stages
from pipeline.beam.arguments import BEAM_ARGS
from toy_data import png, serialized

IMAGES = 900  # fewer than the thousand that TFDV keeps


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """A file of different images of 3 kB with one of 700 labels, the first of which is the most frequent."""
    path = tmp_path_factory.mktemp("examples") / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(IMAGES):
            writer.write(serialized(f"{i:06d}", png(i), max(0, i - 200)))
    return path


def statistics(examples, output, stats_options):
    """The statistics of these Examples, by feature."""
    source = tfxio.TFExampleRecord(str(examples), telemetry_descriptors=["test"])
    with beam.Pipeline(argv=[*BEAM_ARGS]) as pipeline:
        _ = (
            pipeline
            | source.BeamSource()
            | tfdv.GenerateStatistics(stats_options)
            | tfdv.WriteStatisticsToBinaryFile(str(output))
        )
    (found,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(output.read_bytes()).datasets
    return {feature.path.step[0]: feature for feature in found.features}


def test_no_image_and_no_id_crosses_a_stage(examples, tmp_path):
    with bytes_between_stages() as sizes:
        statistics(examples, tmp_path / "found", options())
    assert sum(sizes) < 300 * IMAGES


def test_the_figures_are_those_of_tfdv_without_limits(examples, tmp_path):
    found = statistics(examples, tmp_path / "found", options())
    exact = statistics(examples, tmp_path / "exact", tfdv.StatsOptions())
    assert found["label"] == exact["label"]
    for name in ("image", "id"):
        assert found[name].string_stats.common_stats == exact[name].string_stats.common_stats
        assert found[name].string_stats.unique == exact[name].string_stats.unique == IMAGES
        assert found[name].string_stats.avg_length == exact[name].string_stats.avg_length
