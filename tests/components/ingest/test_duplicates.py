import logging

import numpy as np
import pytest

from components.ingest import duplicates
from components.ingest.duplicates import check, shared_images
from own_data import write_examples
from trainer.errors import UserError


@pytest.fixture(autouse=True, params=[2**19, 2])
def at_once(request, monkeypatch):
    """All keys are in memory together, or a few."""
    monkeypatch.setattr(duplicates, "AT_ONCE", request.param)


def images(**ids):
    """Pairs of image and id; an image is a letter."""
    return [(image.encode(), name.encode()) for name, image in ids.items()]


def checked(folder, train, test, allowed=False):
    """The Examples artifact after the check."""
    examples = write_examples(folder, train=train, test=test)
    check(examples, allowed)
    return examples


def test_different_images_pass_though_the_splits_have_the_same_ids(tmp_path, caplog):
    assert shared_images(checked(tmp_path, images(a="A", b="B"), images(a="C", b="D"))) == 0
    assert not caplog.records


@pytest.mark.parametrize("split", ["train", "test"])
def test_repeated_ids_are_refused_with_their_number(tmp_path, split):
    content = {"train": images(a="A", b="B"), "test": images(c="C", d="D")}
    content[split] += [(image, b"same") for image in (b"1", b"2", b"3")]
    with pytest.raises(UserError) as error:
        checked(tmp_path, **content)
    assert error.value.failure.value == ["same (3 images)"]
    assert split in error.value.failure.sentence


def test_of_many_repeated_ids_the_first_in_the_data_are_named(tmp_path):
    names = np.random.default_rng(0).permutation(np.repeat(np.arange(50), 2)).tolist()
    with pytest.raises(UserError) as error:
        checked(tmp_path, [(b"%d" % i, b"%d" % name) for i, name in enumerate(names)], [])
    assert "50 id(s)" in error.value.failure.sentence
    assert error.value.failure.value == [f"{name} (2 images)" for name in dict.fromkeys(names[:3])][:2]


def test_test_images_that_are_also_training_images_are_counted_with_their_twins(tmp_path, caplog):
    train, test = images(a="A", b="B", b2="B", c="C"), images(again="B", once="C", twice="B", new="N")
    with pytest.raises(UserError) as error:
        checked(tmp_path / "refused", train, test)
    assert error.value.failure.value == ["again (in train: b)", "once (in train: c)"]
    assert error.value.failure.sentence.startswith("3 of 4 test images ")
    assert shared_images(checked(tmp_path / "allowed", train, test, allowed=True)) == 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "3 of 4 test images are also training images, pixel by pixel, such as again (in train: b) and once (in train: "
        "c); accepted by allow_shared_images"
    )
