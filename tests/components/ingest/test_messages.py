"""The wording of the errors of ingestion; that of an anomaly is in test_validator."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from components.ingest import duplicates
from components.ingest.datasets import prepared_builder
from components.ingest.prepared import open_prepared, shards
from components.ingest.records import read_batches
from own_data import write_examples
from toy_data import FEATURES, rows, write, write_toy
from trainer.errors import UserError
from trainer.failure import Kind

ARCHIVE = "cifar-10-binary.tar.gz"
IMAGE = tfds.features.Image(shape=(32, 32, 3))
LABEL = tfds.features.ClassLabel(num_classes=2)
PIXELS = np.zeros([32, 32, 3], np.uint8)


def unknown_name(folder):
    prepared_builder("nosuch", [f"{folder}/a", f"{folder}/b"])


def unknown_version(folder):
    prepared_builder("cifar10:9.9.9", [str(folder)])


def no_network(folder):
    prepared_builder("cifar10", [str(folder)])


def no_archive(folder):
    prepared_builder("cifar10", [f"{folder}/data"], str(folder))


def other_archive(folder):
    def download(self, **_):
        raise tfds.download.download_manager.NonMatchingChecksumError("", "", "")

    (folder / ARCHIVE).write_text("another archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds.builder_cls("cifar10"), "download_and_prepare", download)
        prepared_builder("cifar10", [f"{folder}/data"], str(folder))


def prepare(folder, rows, **features):
    """Opens a data set of these features, with the same rows in train and test."""
    write(folder, tfds.features.FeaturesDict(features), {"train": rows, "test": rows})
    prepared_builder("toy", [str(folder)])


def no_image(folder):
    prepare(folder, [(0, {"label": 0})], label=LABEL)


def other_label(folder):
    prepare(folder, [(0, {"image": PIXELS, "label": 0.5})], image=IMAGE, label=tfds.features.Scalar(np.float32))


def sixteen_bits(folder):
    feature = tfds.features.Image(shape=(32, 32, 3), dtype=np.uint16)
    prepare(folder, [(0, {"image": PIXELS.astype(np.uint16), "label": 0})], image=feature, label=LABEL)


def other_shape(folder):
    feature = tfds.features.Tensor(shape=(3, 32, 32), dtype=np.uint8)
    prepare(folder, [(0, {"image": np.moveaxis(PIXELS, -1, 0), "label": 0})], image=feature, label=LABEL)


def fractional_id(folder):
    row = {"id": 0.5, "image": PIXELS, "label": 0}
    prepare(folder, [(0, row)], id=tfds.features.Scalar(np.float32), image=IMAGE, label=LABEL)


def no_train_split(folder):
    write(folder, FEATURES, {"validation": [("a", {"id": "a", "image": PIXELS, "label": 0})]})
    prepared_builder("toy", [str(folder)])


def small(folder, file_format="tfrecord", train=2):
    """The folder of a small data set."""
    return write_toy(folder, rows("train", train, 0), rows("test", 1, 900), file_format=file_format) / "toy/1.0.0"


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def empty_split(folder):
    edited(small(folder) / "dataset_info.json", '[\n        "1"\n      ]', "[]")
    prepared_builder("toy", [str(folder)])


def missing_file(folder):
    (small(folder) / "toy-test.tfrecord-00000-of-00001").unlink()
    prepared_builder("toy", [str(folder)])


def missing_description(folder):
    (small(folder) / "features.json").unlink()
    prepared_builder("toy", [str(folder)])


def damaged_description(folder):
    (small(folder) / "dataset_info.json").write_text("")
    prepared_builder("toy", [str(folder)])


def other_format(folder):
    edited(small(folder) / "dataset_info.json", '"tfrecord"', '"riegeli"')
    prepared_builder("toy", [str(folder)])


def read(folder):
    builder = open_prepared(str(folder))
    list(read_batches(shards(builder, "train")[0], builder.info.features))


def damaged_record(folder):
    (file,) = small(folder).glob("toy-train*")
    file.write_bytes(bytes(file.stat().st_size))
    read(file.parent)


def damaged_parquet(folder):
    (file,) = small(folder, "parquet").glob("toy-train*")
    file.write_bytes(b"")
    read(file.parent)


def lost_record(folder):
    path = small(folder)
    edited(path / "dataset_info.json", '"2"', '"3"')
    read(path)


def lost_parquet_records(folder):
    read(small(folder, "parquet", train=150))


def repeated_ids(folder):
    train = [(b"%d" % i, name.encode()) for i, name in enumerate("aabbbccddeef")]
    duplicates.check(write_examples(folder, train=train, test=[]), allow_shared_images=False)


def shared_images(folder):
    train, test = [(b"A", b"b"), (b"B", b"d"), (b"C", b"f")], [(b"A", b"a"), (b"B", b"c"), (b"C", b"e")]
    test += [(b"%d" % i, b"%d" % i) for i in range(6)]
    duplicates.check(write_examples(folder, train=train, test=test), allow_shared_images=False)


CHOOSE = "Choose an image data set with images for train"
WAYS = """
    Connect this machine to the network and run again, set TFDS_DATA_DIR or --data-dir to a folder in which TFDS
    prepared cifar10/3.0.2, or put cifar-10-binary.tar.gz into a folder and pass it with --manual-dir"""
REMEDY = "Copy the data set again, or delete its folder and prepare it again"
MESSAGES = {
    unknown_name: f"""
        unknown data set: expected photo_patches, cifar10, another name that TFDS knows, or one prepared in FOLDER/a or
        FOLDER/b, got 'nosuch'. {CHOOSE}""",
    unknown_version: """
        Dataset cifar10 cannot be loaded at version 9.9.9, only: 3.0.2. Choose one of these with --dataset""",
    no_network: f"cifar10/3.0.2 cannot be downloaded: ProxyError. {WAYS}",
    no_archive: f"--manual-dir FOLDER has no cifar-10-binary.tar.gz. {WAYS}",
    other_archive: f"the archive of cifar10/3.0.2 has another checksum than TFDS expects. {WAYS}",
    other_shape: f"""
        data set toy/1.0.0, shape of the images: expected height x width x channels, with 1 channel for grey, 3 for RGB
        or 4 for RGBA, got [3, 32, 32]. {CHOOSE}""",
    no_image: f"data set toy/1.0.0, features: expected an 'image', got ['label']. {CHOOSE}",
    other_label: """
        data set toy/1.0.0, feature 'label': expected a label with classes, got 'Scalar(shape=(), dtype=float32)'.
        Prepare the data set with classes as its label, or with no label""",
    sixteen_bits: """
        data set toy/1.0.0, type of the pixels: expected uint8, got 'uint16'. Convert the images to 8 bits per channel
        and prepare the data set again""",
    fractional_id: """
        data set toy/1.0.0, feature 'id': expected a text, bytes or an integer, got 'Scalar(shape=(), dtype=float32)'.
        Prepare the data set with such ids, or with none: TFDS then numbers the images""",
    no_train_split: """
        data set toy/1.0.0, parts: expected one named train, got ['validation']. Say with --splits which of them are
        train and test, as in --splits train=a+b,test=c""",
    empty_split: f"data set toy/1.0.0, images of the split test: expected at least 1, got 0. {CHOOSE}",
    missing_file: f"""
        data set toy/1.0.0 is incomplete: FOLDER/toy/1.0.0/toy-test.tfrecord-00000-of-00001, which its dataset_info.json
        lists, is missing. {REMEDY}""",
    missing_description: f"FOLDER/toy/1.0.0/features.json is missing, the description of the data set. {REMEDY}",
    damaged_description: f"""
        FOLDER/toy/1.0.0/dataset_info.json is damaged: Failed to load JSON: Expecting value: line 1 column 1 (char 0).
        {REMEDY}""",
    other_format: """
        data set toy/1.0.0, file format: expected one of tfrecord, array_record, parquet on this machine, got 'riegeli'.
        Convert it with `tfds convert_format`, or prepare it again as tfrecord""",
    damaged_record: f"""
        FOLDER/toy/1.0.0/toy-train.tfrecord-00000-of-00001: record 0, counted from 0, is damaged: corrupted record at 0
        (Is this even a TFRecord file?). {REMEDY}""",
    damaged_parquet: f"""
        FOLDER/toy/1.0.0/toy-train.parquet-00000-of-00001: a record at or after 0, counted from 0, is damaged: Parquet
        file size is 0 bytes. {REMEDY}""",
    lost_record: f"""
        FOLDER/toy/1.0.0/toy-train.tfrecord-00000-of-00001 has another number of records than dataset_info.json says,
        because one of the two files is damaged: expected 3, got 2. {REMEDY}""",
    lost_parquet_records: f"""
        FOLDER/toy/1.0.0/toy-train.parquet-00000-of-00001 has another number of records than dataset_info.json says,
        because TFDS 4.9 loses records of larger Parquet files: expected 150, got 100. {REMEDY}, as tfrecord""",
    repeated_ids: """
        the split train repeats 5 id(s): expected a unique id for each image, which seeds its noise, got ['a (2
        images)', 'b (3 images)']. Give the images unique ids and prepare the data set again""",
    shared_images: """
        3 of 9 test images are also training images, pixel by pixel: expected new images, so that the test-set ELBO
        measures generalization, got ['a (in train: b)', 'c (in train: d)']. Remove them and prepare the data set again,
        or accept them with --allow-shared-images (run parameter allow_shared_images)""",
}


@pytest.mark.parametrize("cause", MESSAGES, ids=lambda cause: cause.__name__)
def test_a_message_says_what_is_wrong_what_is_valid_and_what_to_do(cause, tmp_path, unreachable):
    with pytest.raises(UserError) as error:
        cause(tmp_path)
    assert error.value.failure.kind == Kind.BAD_INPUT
    assert str(error.value).replace(str(tmp_path), "FOLDER") == " ".join(MESSAGES[cause].split())
