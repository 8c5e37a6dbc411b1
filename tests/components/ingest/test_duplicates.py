import logging

import apache_beam as beam
import pytest
from tfx.types import standard_artifacts

from components.ingest.duplicates import check, find, readable, shared_images
from pipeline.beam.arguments import BEAM_ARGS
from trainer.errors import UserError


def keys(**images):
    """Pairs of digest and id; an image is a letter."""
    return [(image.encode(), name.encode()) for name, image in images.items()]


def checked(folder, train, test, allowed=False):
    """The Examples artifact after the search for duplicates and the check."""
    with beam.Pipeline(argv=[*BEAM_ARGS]) as pipeline:
        find(pipeline | "train" >> beam.Create(train), pipeline | "test" >> beam.Create(test), str(folder))
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    check(examples, len(test), allowed)
    return examples


def test_different_images_pass_though_the_splits_have_the_same_ids(tmp_path, caplog):
    assert shared_images(checked(tmp_path, keys(a="A", b="B"), keys(a="C", b="D"))) == 0
    assert not caplog.records


@pytest.mark.parametrize("split", ["train", "test"])
def test_repeated_ids_are_refused_with_their_number(tmp_path, split):
    content = {"train": keys(a="A", b="B"), "test": keys(c="C", d="D")}
    content[split] += [(digest, b"same") for digest in (b"1", b"2", b"3")]
    with pytest.raises(UserError) as error:
        checked(tmp_path, **content)
    assert error.value.failure.value == ["same (3 images)"]
    assert split in error.value.failure.sentence


def test_test_images_that_are_also_training_images_are_counted_with_their_twins(tmp_path, caplog):
    train, test = keys(a="A", b="B", b2="B", c="C"), keys(again="B", once="C", twice="B", new="N")
    with pytest.raises(UserError) as error:
        checked(tmp_path, train, test)
    assert error.value.failure.value == ["again (in train: b)", "once (in train: c)"]
    assert error.value.failure.sentence.startswith("3 of 4 test images ")
    assert shared_images(checked(tmp_path, train, test, allowed=True)) == 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "3 of 4 test images are also training images, pixel by pixel, such as again (in train: b) and once (in train: "
        "c); accepted by allow_shared_images"
    )


def test_an_id_is_shown_as_printable_text():
    assert readable(b"a\xff\n\xc3\xa9") == "a\\xff\\n\u00e9"
