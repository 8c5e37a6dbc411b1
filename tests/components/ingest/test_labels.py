"""A label is a text, in an order."""

from components.ingest.labels import label_order


def test_numbers_are_in_the_order_of_their_values_and_before_names():
    labels = ["b", "a10", "10", "9", "-1", "09", "1e3", "9" * 5000, "a9", "\u0663"]
    assert sorted(labels, key=label_order) == ["-1", "09", "9", "10", "1e3", "9" * 5000, "a10", "a9", "b", "\u0663"]
