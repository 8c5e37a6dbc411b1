import json

import pytest
from tfx.types import Channel, standard_artifacts

from components.gate.units_check import UnitsCheck
from components.ingest.shapes import record_shape
from trainer.errors import ReportedError, UserError
from trainer.failure import Kind
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.units import Units, write_units

SHAPE = Shape(20, 28, 1)


@pytest.fixture
def check(tmp_path):
    """Runs the check of a configuration against baselines with these units; None: no units are written."""

    def run(config, *baselines, served=False, blessed=False, no_baseline=False):
        artifacts = []
        for number, units in enumerate(baselines):
            model = standard_artifacts.Model()
            model.uri = str(tmp_path / str(number))
            if units:
                write_units(units, f"{model.uri}/Format-Serving")
            artifacts.append(model)
        if served:
            (tmp_path / "pushed/7").mkdir(parents=True, exist_ok=True)
        channels = Channel(type=standard_artifacts.Model), Channel(type=standard_artifacts.ModelBlessing)
        node = UnitsCheck(
            recipe=json.dumps(config.to_dict()),
            examples=Channel(type=standard_artifacts.Examples),
            push_directory=str(tmp_path / "pushed"),
            no_baseline=no_baseline,
            baseline=channels[0],
            blessing=channels[1],
        )
        examples = standard_artifacts.Examples()
        record_shape(examples, SHAPE)
        blessings = [standard_artifacts.ModelBlessing()] if blessed else []
        UnitsCheck.EXECUTOR_SPEC.executor_class().Do(
            {"examples": [examples], "baseline": artifacts, "blessing": blessings}, {}, node.exec_properties
        )

    return run


def test_the_same_units_pass(check):
    check(TrainConfig(), Units.of(TrainConfig(hidden_size=7, seed=3, learning_rate=0.5), SHAPE))


def test_a_first_model_passes(check):
    check(TrainConfig())


@pytest.mark.parametrize(
    "other",
    [
        Units.of(TrainConfig(eval_samples=8), SHAPE),
        Units.of(TrainConfig(decoder="GaussianMLP"), SHAPE),
        Units.of(TrainConfig(decoder="DiscretizedLogisticMLP"), SHAPE),
        Units.of(TrainConfig(), Shape(28, 20, 1)),
    ],
)
def test_other_units_are_refused_with_both(check, other):
    with pytest.raises(UserError) as refusal:
        check(TrainConfig(), other)
    assert refusal.value.failure.value == str(other)
    assert refusal.value.failure.valid == str(Units.of(TrainConfig(), SHAPE))


def test_another_network_to_the_same_likelihood_can_be_compared(check):
    check(TrainConfig(encoder="GaussianResNet", decoder="BernoulliResNet"), Units.of(TrainConfig(), SHAPE))


def test_a_model_that_does_not_say_its_units_is_refused(check):
    with pytest.raises(UserError):
        check(TrainConfig(), None)


@pytest.mark.parametrize(("served", "blessed"), [(True, False), (False, True)])
def test_a_served_or_blessed_model_that_is_not_recorded_stops_the_run_unless_told(check, served, blessed, tmp_path):
    with pytest.raises(ReportedError) as error:
        check(TrainConfig(), served=served, blessed=blessed)
    assert error.value.failure.kind == Kind.INFRASTRUCTURE
    assert error.value.failure.value == (str(tmp_path / "pushed/7") if served else None)
    check(TrainConfig(), served=served, blessed=blessed, no_baseline=True)
