"""What the Examples of several spans must have in common."""

import pytest
from tfx.types import standard_artifacts

from components.ingest.properties import SPAN, record_images
from components.ingest.shapes import record_shape
from components.ingest.together import check_splits, one_shape
from trainer.errors import UserError
from trainer.shape import Shape


def examples(number, shape=(8, 8, 3), train=9, test=1):
    found = standard_artifacts.Examples()
    found.set_int_custom_property("span", number)
    found.set_string_custom_property(SPAN, f"day-{number}")
    record_shape(found, Shape(*shape))
    record_images(found, {"train": train, "test": test})
    return found


def test_the_spans_of_other_shapes_are_named_against_the_newest_whatever_their_order():
    assert one_shape([examples(2), examples(1)]) == (8, 8, 3)
    with pytest.raises(UserError) as error:
        one_shape([examples(3, (8, 8, 1)), examples(1), examples(2, (8, 8, 1)), examples(4, (8, 8, 1))])
    assert (error.value.failure.value, error.value.failure.valid) == (["day-1 (8x8x3)"], "8x8x1")
    assert str(error.value) == (
        "the images of these spans have another shape than those of day-4: expected 8x8x1, got ['day-1 (8x8x3)']. Give "
        "all one shape with --image-shape HxWxC, or leave the others out with a smaller --spans"
    )


def test_a_split_may_be_empty_in_a_span_but_not_in_all():
    check_splits([examples(1, test=0), examples(2, train=0)])
    check_splits([standard_artifacts.Examples()])  # without spans ImageExampleGen has checked it
    with pytest.raises(UserError) as error:
        check_splits([examples(1, test=0), examples(2, test=0)])
    assert str(error.value) == (
        "no image of the spans is in test: expected at least 1, got ['day-1', 'day-2']. Use more spans with --spans, "
        "or change --test-share"
    )
