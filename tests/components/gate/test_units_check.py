import pytest
from tfx.types import Channel, standard_artifacts

from components.gate.units_check import Executor, UnitsCheck
from trainer.errors import ReportedError, UserError
from trainer.settings import TrainConfig
from trainer.units import Units, write_units


@pytest.fixture
def check(tmp_path):
    """Runs the check of a configuration against a baseline with these units, or with none written, or without one."""

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
        node = UnitsCheck(Units.of(config), *channels, str(tmp_path / "pushed"), no_baseline)
        blessings = [standard_artifacts.ModelBlessing()] if blessed else []
        Executor().Do({"baseline": artifacts, "blessing": blessings}, {}, node.exec_properties)

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


@pytest.mark.parametrize(
    ("served", "blessed", "words"),
    [(True, False, "version 7 is served from"), (False, True, "a model was blessed, but its files are not among")],
)
def test_a_model_that_is_served_or_blessed_and_not_found_stops_the_run_unless_told(check, served, blessed, words):
    with pytest.raises(ReportedError, match=words) as error:
        check(TrainConfig(), served=served, blessed=blessed)
    assert error.value.exit_code == 1
    assert "--no-baseline" in str(error.value)
    check(TrainConfig(), served=served, blessed=blessed, no_baseline=True)
