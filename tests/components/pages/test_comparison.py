import math

import pytest

from components.pages.comparison import better, verdict


def gain(mean, half):
    return {"elbo_gain": mean, "elbo_gain_lower": mean - half, "elbo_gain_upper": mean + half, "images": 1000.0}


@pytest.mark.parametrize(
    ("of_b", "which", "sentence"),
    [
        (
            gain(3.0, 1.0),
            "B",
            "B is better. The gain of B over A over 1,000 paired images is +3.00 nats per image, with 95 % confidence "
            "between +2.00 and +4.00",
        ),
        (
            gain(-3.0, 1.0),
            "A",
            "A is better. The gain of B over A over 1,000 paired images is -3.00 nats per image, with 95 % confidence "
            "between -4.00 and -2.00",
        ),
        (
            gain(0.5, 1.0),
            None,
            "Neither model is better: the interval holds 0. The gain of B over A over 1,000 paired images is +0.50 "
            "nats per image, with 95 % confidence between -0.50 and +1.50",
        ),
        (gain(0.0, 0.0), None, "A and B are the same on each of 1,000 paired images"),
        (
            gain(math.nan, math.nan),
            None,
            "The gain of B over A is nan over 1,000 paired images: the ELBO of one of them is no finite number",
        ),
    ],
)
def test_the_interval_decides_which_model_is_better(of_b, which, sentence):
    assert better(of_b) == which
    assert verdict(of_b) == sentence
