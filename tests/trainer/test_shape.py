import pytest

from trainer.shape import Shape


@pytest.mark.parametrize("shape", [Shape(28, 28, 1), Shape(1, 640, 4)], ids=str)
def test_a_shape_survives_being_written(shape):
    assert Shape.parse(str(shape)) == shape


@pytest.mark.parametrize("text", ["", "data", "28x28", "28x28x1x1", "0x28x1", "-1x28x1", "28x28x2", "28x28xa"])
def test_a_text_that_is_no_shape_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  of int too
        Shape.parse(text)
