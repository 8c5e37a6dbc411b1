"""An exported model is read through its signatures, and nothing else is taken for one."""

import json

import pytest
import tensorflow as tf

from exported import RECIPE, export_without_temperature, push
from trainer.errors import UserError
from trainer.exported import Exported
from trainer.shape import Shape
from trainer.units import FILE, Units, write_units

SHAPE = Shape(4, 4, 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return push(tmp_path_factory.mktemp("exported"), 1, SHAPE)


@pytest.fixture
def other(tmp_path):
    """A SavedModel of someone else."""
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    return tmp_path / "other"


def test_a_model_states_its_units_and_shape(model):
    found = Exported(str(model))
    assert found.units == Units.of(RECIPE, SHAPE)
    assert found.shape == SHAPE


def test_a_model_of_a_version_without_shapes_has_the_shape_of_then(model, tmp_path):
    path = export_without_temperature(tmp_path / "old", Shape(32, 32, 3))
    units = json.loads((path / FILE).read_text())
    del units["shape"]
    (path / FILE).write_text(json.dumps(units))
    assert Exported(str(path)).sample(1, seed=0).shape == (1, 32, 32, 3)


def test_the_wording_of_what_is_no_model(other, tmp_path):
    def said(path):
        with pytest.raises(UserError) as error:
            Exported(str(path))
        return str(error.value).replace(str(tmp_path), "TMP")

    valid = "expected a SavedModel that vaeiaf exported"
    assert said(tmp_path) == f"TMP is no model: {valid}, got 'TMP'. Check the path"
    assert said(other) == (
        f"the model TMP/other does not state the units of its ELBO and the shape of its images: {valid}, got "
        "'TMP/other'. Name another model"
    )
    write_units(Units.of(RECIPE, SHAPE)._replace(likelihood="Poisson"), str(other))
    assert said(other) == (
        "the likelihood of the model TMP/other: expected one of Bernoulli, Gaussian, DiscretizedLogistic, "
        "DiscretizedLogisticMixture, got 'Poisson'. Name another model"
    )
    write_units(Units.of(RECIPE, SHAPE), str(other))
    assert said(other) == f"the model TMP/other has no signature evaluate: {valid}, got []. Name another model"
    (other / "saved_model.pb").write_bytes(b"damage")
    assert said(other).startswith("the model TMP/other cannot be loaded: ")


def test_the_wording_about_a_missing_temperature(tmp_path):
    path = export_without_temperature(tmp_path / "old", SHAPE)
    with pytest.raises(UserError) as error:
        Exported(str(path)).sample(1, seed=0, temperature=0.5)
    assert str(error.value) == (
        f"--temperature of the model {path}, which an earlier version exported without a temperature: expected 1, got "
        "0.5. Leave it out, or train a new model"
    )
