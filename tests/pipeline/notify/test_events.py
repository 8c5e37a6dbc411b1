import datetime
import json
import math

import pytest
from cloudevents.core.bindings.http import from_structured_event, to_structured_event

from comparisons import DRIFTED, EQUAL
from components.gate.pusher import Push
from components.gate.verdict import Verdict
from pipeline.notify.events import Ending, of_drift, of_failure, of_outcome
from pipeline.outcome import Comparison, Outcome
from pipeline.settings import PipelineConfig
from trainer.failure import MAX_BYTES, Failure, Kind

NOON = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)
ENDING = Ending("vaeiaf-cifar10", "run-1", NOON)
FAILURE = Failure(Kind.INFRASTRUCTURE, "the disk is full", value="/mnt", remedy="Free some", cause="ENOSPC")
CONFIG = PipelineConfig(max_regression=0.5)


def outcome(blessed=True, push=Push(pushed_to="/pushed/7"), candidate=None, reasons=()):  # noqa: B008  immutable
    metrics = candidate or {"elbo": -1850.0, "elbo_gain": 1.5, "elbo_gain_lower": 1.0, "elbo_gain_upper": 2.0}
    return Outcome(Verdict(blessed, metrics, {"elbo": -1851.5}, {}, list(reasons), ["a note"]), push, "/report", True)


def test_a_push_has_the_numbers_and_the_place():
    event = of_outcome(ENDING, outcome(), CONFIG)
    assert event.get_type() == "io.vaeiaf.model.pushed"
    assert (event.get_source(), event.get_subject(), event.get_time()) == ("/vaeiaf-cifar10", "run-1", NOON)
    assert event.get_specversion() == "1.0"
    assert event.get_data() == {
        "candidate": {"elbo": -1850.0, "elbo_gain": 1.5, "elbo_gain_lower": 1.0, "elbo_gain_upper": 2.0},
        "baseline": {"elbo": -1851.5},
        "thresholds": {"min_elbo": None, "max_regression": 0.5, "min_label_elbo": None},
        "reasons": [],
        "notes": ["a note"],
        "pushed_to": "/pushed/7",
        "damaged": None,
        "report": "/report",
        "trained": True,
    }


def test_a_refusal_has_its_reasons():
    event = of_outcome(ENDING, outcome(False, Push(), reasons=["too low"]), CONFIG)
    assert event.get_type() == "io.vaeiaf.model.refused"
    assert (event.get_data()["reasons"], event.get_data()["pushed_to"]) == (["too low"], None)


def test_an_unchanged_model_and_a_refusal_that_is_not_new_make_no_event():
    assert of_outcome(ENDING, outcome(push=Push(unchanged="/pushed/7")), CONFIG) is None
    assert of_outcome(ENDING, outcome(False, Push(), reasons=["too low"])._replace(nothing_new=True), CONFIG) is None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_null(number):
    event = of_outcome(ENDING, outcome(False, Push(), candidate={"elbo": number, "images": 50.0}), CONFIG)
    sent = json.loads(to_structured_event(event).body, parse_constant=pytest.fail)
    assert sent["data"]["candidate"] == {"elbo": None, "images": 50.0}


def test_a_failure_has_its_fields():
    event = of_failure(ENDING, FAILURE, task="train", log="/logs/train.log")
    assert event.get_type() == "io.vaeiaf.run.failed"
    data = event.get_data()
    assert Failure.from_json(json.dumps({name: data[name] for name in json.loads(FAILURE.to_json())})) == FAILURE
    assert (data["message"], data["exit_code"]) == (str(FAILURE), 1)
    assert (data["task"], data["log"]) == ("train", "/logs/train.log")


def test_drift_has_its_figures_whether_the_run_went_on_or_stopped():
    data = {
        "comparator": "skew",
        "sentence": "the new data differ from the old data in brightness (0.500 beyond 0.030 bits)",
        "figures": {"brightness": {"divergence": 0.5, "threshold": 0.03}},
        "histograms": "/drift/index.html",
    }
    told = Comparison(DRIFTED, "/drift/index.html", is_old=True)
    ended = outcome()._replace(comparisons=(told._replace(is_old=False), told, Comparison(EQUAL, "/equal")))
    (event,) = of_drift(ENDING, ended)
    assert (event.get_type(), event.get_data()) == ("io.vaeiaf.data.drifted", {**data, "stopped": False})
    stopped = of_failure(ENDING, Failure(Kind.REFUSED, "the new data differ", value=data))
    assert (stopped.get_type(), stopped.get_data()) == ("io.vaeiaf.data.drifted", {**data, "stopped": True})
    assert event.get_id() == stopped.get_id()


def test_drift_whose_figures_were_cut_has_its_sentence():
    event = of_failure(ENDING, Failure(Kind.REFUSED, "the new data differ", value='{"comparator": "sk'))
    assert event.get_data() == {"sentence": "the new data differ", "stopped": True}


def test_a_failure_with_a_huge_value_is_cut():
    event = of_failure(ENDING, Failure(Kind.BUG, "x" * 10**5, value=["y"] * 10**5))
    assert len(to_structured_event(event).body) < MAX_BYTES + 1000


def test_what_arrives_is_what_was_sent():
    event = of_failure(ENDING, Failure(Kind.BUG, "Größe → 0"))
    arrived = from_structured_event(to_structured_event(event))
    assert arrived.get_data() == event.get_data()
    assert arrived.get_attributes() == event.get_attributes()


def test_the_same_ending_has_the_same_id_and_any_other_another():
    endings = [ENDING, ENDING._replace(time=NOON + datetime.timedelta(seconds=1)), ENDING._replace(run_id="run-2")]
    endings += [ENDING._replace(pipeline="vaeiaf-photo-patches")]
    ids = [of_failure(ending, FAILURE).get_id() for ending in endings] + [
        of_outcome(ENDING, outcome(), CONFIG).get_id()
    ]
    assert len(set(ids)) == len(ids)
    assert of_failure(ENDING, FAILURE).get_id() == ids[0]
