import pytest
from tfx.types import Channel, standard_artifacts

from components.units_check import Executor, UnitsCheck
from trainer.config import TrainConfig
from trainer.errors import UserError
from trainer.units import Units, write_units


@pytest.fixture
def check(tmp_path):
    """Runs the check of a configuration against a baseline with these units, or with none written, or without one."""

    def run(config, *baselines):
        artifacts = []
        for number, units in enumerate(baselines):
            model = standard_artifacts.Model()
            model.uri = str(tmp_path / str(number))
            if units:
                write_units(units, f"{model.uri}/Format-Serving")
            artifacts.append(model)
        node = UnitsCheck(Units.of(config), Channel(type=standard_artifacts.Model))
        Executor().Do({"baseline": artifacts}, {}, node.exec_properties)

    return run


def test_the_same_units_pass(check):
    check(TrainConfig(), Units.of(TrainConfig(hidden_size=7, seed=3, learning_rate=0.5)))


def test_a_first_model_passes(check):
    check(TrainConfig())


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (TrainConfig(eval_samples=8), ["K = 8", "K = 4"]),
        (TrainConfig(decoder="GaussianMLP"), ["Gaussian (", "Bernoulli ("]),
        (TrainConfig(decoder="DiscretizedLogisticMLP"), ["DiscretizedLogistic (", "Bernoulli ("]),
    ],
)
def test_other_units_are_refused_with_both_and_a_way_on(check, other, words):
    with pytest.raises(UserError, match="cannot be compared") as refusal:
        check(TrainConfig(), Units.of(other))
    for text in (*words, "--root"):
        assert text in str(refusal.value)


def test_another_network_to_the_same_likelihood_can_be_compared(check):
    check(TrainConfig(encoder="GaussianResNet", decoder="BernoulliResNet"), Units.of(TrainConfig()))


def test_a_model_that_does_not_say_its_units_is_refused(check):
    with pytest.raises(UserError, match=r"does not say .* what its ELBO is measured in"):
        check(TrainConfig(), None)
