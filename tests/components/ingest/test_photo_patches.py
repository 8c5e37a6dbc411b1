import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn import datasets

from components.ingest.datasets import prepared_builder
from components.ingest.photo_patches import COLUMNS, PATCHES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return prepared_builder("photo_patches", [str(tmp_path_factory.mktemp("data"))])


def arrays(builder, split):
    return list(tfds.as_numpy(builder.as_dataset(split=split)))


def test_it_has_the_features_and_splits_of_cifar10(builder):
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == PATCHES
    cifar10 = tfds.builder("cifar10").info.features
    assert set(builder.info.features) == set(cifar10)
    assert builder.info.features["image"].shape == cifar10["image"].shape


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_image_lies_in_the_columns_of_its_split(builder, split):
    photographs = [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    regions = [windows(photograph[:, start:end]) for photograph in photographs for start, end in COLUMNS[split]]
    for example in arrays(builder, split)[:50]:
        assert contains(regions, example["image"])


def test_no_column_belongs_to_both_splits():
    train, test = ({x for start, end in COLUMNS[split] for x in range(start, end)} for split in ("train", "test"))
    assert not train & test


def test_no_test_image_stands_in_train(builder):
    train = {example["image"].tobytes() for example in arrays(builder, "train")}
    test = {example["image"].tobytes() for example in arrays(builder, "test")}
    assert not train & test


def windows(region):
    return np.lib.stride_tricks.sliding_window_view(region, (32, 32, 3))[:, :, 0]


def contains(regions, image):
    for region in regions:
        for row, column in np.argwhere((region[:, :, 0, 0] == image[0, 0]).all(axis=-1)):
            if (region[row, column] == image).all():
                return True
    return False
