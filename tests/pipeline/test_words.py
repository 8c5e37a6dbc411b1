import pytest

from pipeline.settings import PipelineConfig
from pipeline.words import bounds


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "independent pixels for the test-set ELBO, -1.00 for the gain over the last blessed model"),
        (
            {"min_elbo": -1900, "max_regression": 0},
            "-1900.00 for the test-set ELBO, 0.00 for the gain over the last blessed model",
        ),
        (
            {"min_label_elbo": -2000.0, "no_baseline": True},
            "independent pixels for the test-set ELBO, -2000.00 for the ELBO of each label",
        ),
    ],
)
def test_the_bounds_are_those_of_the_gate(settings, told):
    assert bounds(PipelineConfig(**settings)) == f"Lower bounds: {told}"
