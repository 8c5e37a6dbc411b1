"""The proof that drift is found, and found only where it is: the benchmark's section on the embedded data."""

import pytest

from components.drift.compare import GAP
from tests.bench import drift

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift, "HAS_CIFAR10", False)
        patch.setattr(drift, "SIZES", (100,))
        patch.setitem(drift.EPOCHS, "photo_patches", 10)
        return {row.name: row.more for row in drift.rows()}


def test_random_halves_of_the_same_images_raise_no_alarm_and_chance_has_its_law(rows):
    splits = [more for more in rows.values() if "splits" in more]
    assert len(splits) == 4
    for more in splits:
        assert more["splits"] == 200
        assert more["as_configured"] == 0
        assert more["nothing_allowed"] <= 2  # 0.2 are expected
        assert 1 <= more["at_5_percent"] <= 22  # 10 are expected, if figures were independent; 1 in 4,000 has more


@pytest.mark.parametrize(
    ("shift", "largest", "figure"),
    [
        ("darker", 15, None),  # of the brightness or of the ELBO, as good as the model is
        ("blurred", 0.5, "sharpness"),
        ("more noise", 0.5, "bytes"),
        ("another class mix", 30, "label"),
        ("red and blue swapped", 1, GAP),
        ("quarters shuffled", 2, "sharpness"),
    ],
)
def test_a_shift_is_found_at_its_size_by_its_figure(shift, largest, figure, rows):
    ((name, found),) = ((name, more) for name, more in rows.items() if f": {shift}, found at " in name)
    assert float(name.rpartition(" found at ")[2].split()[0]) <= largest
    assert figure is None or figure in found


def test_the_elbo_finds_what_the_numbers_of_the_pixels_do_not(rows):
    (found,) = (more for name, more in rows.items() if "red and blue swapped" in name)
    assert found.keys() == {GAP}
