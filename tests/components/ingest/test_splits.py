import hashlib

import pytest

from components.ingest.splits import is_test, parts_of
from pipeline.settings import PipelineConfig
from trainer.errors import UserError
from trainer.schema import SettingError


@pytest.mark.parametrize(
    ("splits", "present", "found"),
    [
        (None, ["train", "test", "extra"], {"train": ["train"], "test": ["test"]}),
        (None, ["train"], {"train": ["train"]}),
        ("train=train+extra,test=validation", ["train", "extra", "validation"], None),
        ("test=b,train=a", ["a", "b"], {"train": ["a"], "test": ["b"]}),
        ("train=train+extra", ["extra", "test", "train"], {"train": ["train", "extra"], "test": ["test"]}),
        ("train=2024-01+2024-02", ["2024-01", "2024-02"], {"train": ["2024-01", "2024-02"]}),
    ],
)
def test_a_split_is_the_parts_that_are_named_or_the_part_of_its_name(splits, present, found):
    assert PipelineConfig(splits=splits).splits == splits
    assert parts_of(splits, present, "data") == (found or {"train": ["train", "extra"], "test": ["validation"]})


@pytest.mark.parametrize("splits", ["", "train", "train=", "train=a+", "valid=a", "train=a,train=b", "train=a, test=b"])
def test_other_texts_are_no_splits(splits):
    with pytest.raises(SettingError) as error:
        PipelineConfig(splits=splits)
    assert (error.value.setting, error.value.failure.value) == ("splits", splits)


@pytest.mark.parametrize(
    ("splits", "value"), [("train=nope", "nope"), ("train=a,test=a", "a twice"), ("train=a+a", "a twice")]
)
def test_a_part_is_there_and_used_once(splits, value):
    with pytest.raises(SettingError) as error:
        parts_of(splits, ["a", "test"], "data")
    assert (error.value.setting, error.value.failure.value) == ("splits", value)


def test_without_a_part_for_train_there_is_nothing_to_train_on():
    with pytest.raises(UserError) as error:
        parts_of("test=a", ["a", "b"], "data")
    assert error.value.failure.value == ["a", "b"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_test_gets_its_share_and_a_larger_share_keeps_what_a_smaller_one_had(share):
    digests = [hashlib.blake2b(bytes([i, j]), digest_size=16).digest() for i in range(100) for j in range(100)]
    test = {digest for digest in digests if is_test(digest, share)}
    assert len(test) / len(digests) == pytest.approx(share, abs=0.015)  # five standard errors at most
    assert test <= {digest for digest in digests if is_test(digest, share + 0.05)}
