"""Runs whose data differ from those that the served model was given."""

import numpy as np
import pytest
import tensorflow as tf

from pipeline import words
from series import Series, gradients, report
from toy_data import write_toy

pytestmark = pytest.mark.slow


@pytest.fixture
def series(tmp_path, capfd):
    rows = gradients("train", 64, 0), gradients("test", 16, 1000)
    served = np.stack([tf.io.decode_image(image).numpy() for _, image, _ in gradients("served", 64, 2000)])
    (tmp_path / "served").mkdir()
    np.save(tmp_path / "served" / "images.npy", served // 4)
    return Series(tmp_path / "root", write_toy(tmp_path / "data", *rows), capfd)


def test_drift_ends_a_run_before_its_training_or_is_noted_in_its_verdict(series, tmp_path):
    serving = f"--serving-data={tmp_path / 'served'}"
    code, console = series.run(serving, "--on-drift=stop")
    assert code == words.REFUSED
    assert "the training data differ from the serving data in" in console
    assert "Trainer" not in console
    page = series.only("ServingSkew/drift/*/index.html")
    assert str(page) in console
    assert "brightness" in page.read_text()

    code, console = series.run(serving)
    assert code == words.PUSHED, console
    assert "Note: the training data differ from the serving data in" in console
    assert "Both histograms: " in console
    html = report(console)
    assert "The training data and the serving data" in html
    assert html.count("<svg") == 6
