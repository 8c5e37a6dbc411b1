"""Runs whose data differ from those that the served model was given."""

import numpy as np
import pytest
import tensorflow as tf

from series import Series, gradients, report
from toy_data import write_toy
from trainer import exit_codes

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
    assert code == exit_codes.REFUSED
    assert "the training data differ from the serving data in" in console
    assert "Trainer" not in console
    page = series.only("ServingSkew/drift/*/index.html")
    assert str(page) in console
    assert "brightness" in page.read_text()

    code, console = series.run(serving)
    assert code == exit_codes.DONE, console
    assert "Note: the training data differ from the serving data in" in console
    assert "Both histograms: " in console
    html = report(console)
    assert "The training data and the serving data" in html
    assert html.count("shares of both sets") == 6


def test_a_shifted_span_is_stopped_every_night_until_a_run_continues_with_it(tmp_path, capfd):
    def arrive(day, brightness):
        (tmp_path / "photos").mkdir(exist_ok=True)
        images = [tf.io.decode_image(image).numpy() for _, image, _ in gradients("x", 120, 1000 * day, (16, 16, 3))]
        np.savez(tmp_path / f"photos/{day}.npz", images=(np.stack(images) * brightness).astype(np.uint8))

    nights = Series(tmp_path / "root", tmp_path, capfd, data=f"{tmp_path}/photos/{{SPAN}}.npz")
    stopping = ("--span-age-minutes=0", "--on-drift=stop")
    arrive(1, 1.0)
    code, console = nights.run(*stopping)
    assert code == exit_codes.DONE, console
    assert "there is nothing of the same shape yet to compare the images of the span 1.npz with" in console

    for day in (2, 3):
        arrive(day, 0.25)
        code, console = nights.run(*stopping)
        assert code == exit_codes.REFUSED, console
        assert f"the images of the span {day}.npz differ from those of the span 1.npz in" in console
        assert "Trainer" not in console

    code, console = nights.run("--span-age-minutes=0")
    assert code == exit_codes.DONE, console
    assert "Note: the images of the span 3.npz differ from those of the span 1.npz in" in console
    assert "The images of the span 3.npz and those of the span 1.npz" in report(console)
    assert "elbo" in report(console)

    arrive(4, 0.25)
    code, console = nights.run(*stopping)
    assert code == exit_codes.DONE, console
    assert "no drift: the images of the span 4.npz and those of the span 3.npz" in console
