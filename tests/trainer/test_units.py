"""Two ELBOs compare only if their units are equal."""

import dataclasses
import json
import shutil

import pytest

from trainer.errors import UserError
from trainer.model.likelihoods import LIKELIHOODS
from trainer.settings import DECODERS, TrainConfig
from trainer.shape import Shape
from trainer.units import FILE, Units, read_units, write_units

SHAPE = Shape(28, 20, 1)


def test_units_are_those_of_the_likelihood_and_the_draws():
    config = TrainConfig(decoder="DiscretizedLogisticResNet", eval_samples=7)
    likelihood, measure, scaling, samples, shape = Units.of(config, SHAPE)
    assert (likelihood, samples, shape) == ("DiscretizedLogistic", 7, "28x20x1")
    assert "probability of 8-bit pixels" in measure
    assert "[0, 1]" in scaling


def test_what_changes_no_number_changes_no_units():
    config = TrainConfig()
    same = dataclasses.replace(config, decoder="BernoulliResNet", encoder="GaussianResNet", epochs=1, free_bits=1.0)
    assert Units.of(same, SHAPE) == Units.of(config, SHAPE)


def test_another_likelihood_number_of_draws_or_shape_is_another_unit():
    configs = [TrainConfig(decoder=f"{name}MLP") for name in LIKELIHOODS]
    units = {Units.of(config, SHAPE) for config in (*configs, TrainConfig(eval_samples=5))}
    assert len({*units, Units.of(TrainConfig(), Shape(20, 28, 1))}) == len(LIKELIHOODS) + 2


def test_units_read_as_one_sentence():
    text = str(Units.of(TrainConfig(eval_samples=7), SHAPE))
    assert text == (
        "Bernoulli (nats per image, cross entropy of grey values), images of 28x20x1, pixels / 255, in [0, 1], K = 7"
    )


@pytest.mark.parametrize("decoder", DECODERS)
def test_units_survive_being_written(decoder, tmp_path):
    encoder = "GaussianLadder" if decoder.endswith("Ladder") else "GaussianMLP"
    units = Units.of(TrainConfig(encoder=encoder, decoder=decoder), SHAPE)
    write_units(units, str(tmp_path / "model"))
    assert read_units(str(tmp_path / "model")) == units


def test_a_model_that_states_no_shape_has_images_of_32x32x3(tmp_path):
    units = Units.of(TrainConfig(), Shape(32, 32, 3))
    write_units(units, str(tmp_path))
    stated = json.loads((tmp_path / FILE).read_text())
    assert stated.pop("shape") == "32x32x3"
    (tmp_path / FILE).write_text(json.dumps(stated))
    assert read_units(str(tmp_path)) == units


def test_units_are_copied_with_their_model(tmp_path):
    units = Units.of(TrainConfig(), SHAPE)
    write_units(units, str(tmp_path / "model"))
    shutil.copytree(tmp_path / "model", tmp_path / "pushed" / "1")
    shutil.rmtree(tmp_path / "model")
    assert read_units(str(tmp_path / "pushed" / "1")) == units


def test_units_are_written_over(tmp_path):
    for samples in (100, 2):
        write_units(Units.of(TrainConfig(eval_samples=samples), SHAPE), str(tmp_path))
    assert read_units(str(tmp_path)).samples == 2


@pytest.mark.parametrize(
    "written",
    [None, b"", b"{", b"\xff\xfe", b"null", b"[1, 2, 3, 4]", b'{"likelihood": "Bernoulli"}', b'{"nats": 1}'],
)
def test_a_model_that_does_not_say_is_named(written, tmp_path):
    if written is not None:
        write_units(Units.of(TrainConfig(), SHAPE), str(tmp_path))
        (tmp_path / FILE).write_bytes(written)
    with pytest.raises(UserError) as caught:
        read_units(str(tmp_path))
    assert caught.value.failure.value == str(tmp_path)
