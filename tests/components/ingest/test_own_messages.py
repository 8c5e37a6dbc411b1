"""The wording of the errors about data of the user's own."""

import numpy as np
import pytest
import tensorflow as tf

from components.ingest import findings, unreadable
from components.ingest.decoding import shape_of_images
from components.ingest.own_data import open_data
from components.ingest.splits import parts_of
from own_data import write_examples, write_files
from toy_data import pixels, png
from trainer.errors import UserError
from trainer.failure import Kind

IMAGE = png(0)


def missing(folder):
    open_data(f"{folder}/none", None)


def nothing(folder):
    open_data(write_files(folder, {"notes.txt": b""}), None)


def other_directories(folder):
    open_data(write_files(folder, {"train/a.png": IMAGE, "plane/b.png": IMAGE}), None)


def unknown_part(folder):
    parts_of("train=train+extra", ["train", "test"], "FOLDER")


def part_twice(folder):
    parts_of("train=a,test=a", ["a"], "FOLDER")


def check(folder, faults, **images):
    examples = write_examples(folder, **{split: [(b"", b"")] * number for split, number in images.items()})
    findings.write_faults(str(folder), "000-000000", faults)
    unreadable.check(examples, 0.01)


def too_many(folder):
    check(folder, findings.Faults(12, ["image a.png, format", "image b.png, shape"]), train=80, test=8)


def nothing_sound(folder):
    shape_of_images(iter([]))


def empty_split(folder):
    check(folder, findings.Faults(0, []), train=80, test=0)


def arrays(folder, **found):
    np.savez(folder / "a.npz", **found)
    open_data(f"{folder}/a.npz", None)


def other_names(folder):
    arrays(folder, pictures=pixels(1)[None])


def floats(folder):
    arrays(folder, x=np.zeros([2, 32, 32, 3]))


def columns_first(folder):
    arrays(folder, x=np.asfortranarray(np.stack([pixels(1), pixels(2)])))


def few_labels(folder):
    arrays(folder, x=pixels(1)[None], y=np.zeros([2], np.int64))


def some_labels(folder):
    np.savez(folder / "b.npz", x=pixels(1)[None], y=np.zeros([1], np.int64))
    np.savez(folder / "c.npz", x=pixels(1)[None])
    open_data(str(folder), None)


def damaged_array(folder):
    (folder / "a.npz").write_bytes(b"no archive")
    open_data(f"{folder}/a.npz", None)


def records(folder, *contents):
    with tf.io.TFRecordWriter(f"{folder}/a.tfrecord") as writer:
        for content in contents:
            writer.write(content)
    open_data(f"{folder}/a.tfrecord", None)


def no_records(folder):
    records(folder)


def no_example(folder):
    records(folder, b"no Example")


def no_image(folder):
    records(folder, tf.train.Example().SerializeToString())


def float_label(folder):
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"image"])),
        "label": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5])),
    }
    records(folder, tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def damaged_records(folder):
    (folder / "a.tfrecord").write_bytes(bytes(500))
    open_data(f"{folder}/a.tfrecord", None)


AGAIN = "Write the file again"
KNOWN = "images (PNG, JPEG, WebP), arrays (.npz, .npy) or TFRecords of Examples (.tfrecord)"
MESSAGES = {
    missing: "--data FOLDER/none does not exist. Check the path",
    nothing: f"--data FOLDER is not known as data: expected {KNOWN}, got 'FOLDER'. Check the path",
    other_directories: """
        --data FOLDER has other directories beside train: expected train and test alone, or labels alone, got ['plane'].
        Say with --splits which directories are train and test, such as --splits train=train,test=test""",
    unknown_part: "splits: expected parts of FOLDER: test, train, got 'extra'",
    part_twice: "splits: expected each part once, got 'a twice'",
    too_many: """
        12 of 100 images cannot be read, of which the first 10 are shown: expected a share of at most 0.01
        (max_unreadable), got ['image a.png, format', 'image b.png, shape']. Repair or remove them, fit other shapes
        with --image-shape HxWxC, or leave them out with a larger --max-unreadable; nothing was trained""",
    nothing_sound: """
        none of the first 0 images of train can be read. Check the data: each image is a complete PNG, JPEG, WebP or
        BMP, of height x width x channels, with 1 channel for grey, 3 for RGB or 4 for RGBA, with 8 bits per channel""",
    empty_split: """
        images of the split test: expected at least 1, got 0. Add images, or change --splits or --test-share""",
    other_names: """
        FOLDER/a.npz, names of arrays: expected images or x, with labels or y if there are any; or x_train and y_train,
        x_test and y_test, got ['pictures']. Rename the arrays""",
    floats: """
        FOLDER/a.npz, array x: expected uint8 [N, H, W] or [N, H, W, C] with 1 to 4 channels, got 'float64 [2, 32, 32,
        3]'. Convert the images to bytes, with the channels last""",
    columns_first: """
        FOLDER/a.npz, array x, order: expected rows first, got 'columns first'. Write it from
        numpy.ascontiguousarray""",
    few_labels: """
        FOLDER/a.npz, array y: expected integers or texts [1], one for each image, got 'int64 [2]'. Give each image
        one label""",
    some_labels: """
        FOLDER, labels: expected for all images or for none, got ['c.npz']. Add the labels that are missing, or remove
        all others""",
    damaged_array: f"FOLDER/a.npz is damaged: File is not a zip file. {AGAIN}",
    no_records: f"FOLDER/a.tfrecord has no records: expected at least one Example, got 'FOLDER/a.tfrecord'. {AGAIN}",
    no_example: f"""
        FOLDER/a.tfrecord, record 0: expected an Example, got "Error parsing message with type 'tensorflow.Example'".
        {AGAIN}""",
    no_image: f"FOLDER/a.tfrecord, features: expected an 'image', got []. {AGAIN}",
    float_label: f"""
        FOLDER/a.tfrecord, feature 'label': expected bytes_list or int64_list, got 'float_list'. {AGAIN}""",
    damaged_records: f"""
        FOLDER/a.tfrecord: a record at or after 0, counted from 0, is damaged: corrupted record at 0 (Is this even a
        TFRecord file?). {AGAIN}""",
}


@pytest.mark.parametrize("cause", MESSAGES, ids=lambda cause: cause.__name__)
def test_a_message_says_what_is_wrong_what_is_valid_and_what_to_do(cause, tmp_path):
    with pytest.raises(UserError) as error:
        cause(tmp_path)
    assert error.value.failure.kind == Kind.BAD_INPUT
    assert str(error.value).replace(str(tmp_path), "FOLDER") == " ".join(MESSAGES[cause].split())
