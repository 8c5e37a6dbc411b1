import pytest
import tensorflow_datasets as tfds
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import components.ingest.photo_patches  # noqa: F401  registers the data set
from components.ingest.numbers import NUMBERS
from pipeline.dag import SCHEMAS
from trainer.images import EXAMPLE_FEATURES


def load(name):
    return text_format.Parse((SCHEMAS / name / "schema.pbtxt").read_text(), schema_pb2.Schema())


@pytest.mark.parametrize("name", ["cifar10", "photo_patches", "default"])
def test_a_schema_has_the_features_that_the_model_parses_the_label_and_the_numbers(name):
    assert {feature.name for feature in load(name).feature} == {*EXAMPLE_FEATURES, "label", *NUMBERS}


@pytest.mark.parametrize("name", ["cifar10", "photo_patches"])
def test_labels_are_those_of_the_data_set(name):
    (label,) = [feature for feature in load(name).feature if feature.name == "label"]
    known, feature = list(label.string_domain.value), tfds.builder(name).info.features["label"]
    assert len(known) == feature.num_classes
    assert known == feature.names or name == "cifar10", "TFDS reads the names of CIFAR-10 from its archive"
