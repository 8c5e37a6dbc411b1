import json

import pytest

OLD = {
    "inputs": {"examples": [["Examples", "a" * 64, ""]]},
    "parameters": {
        "custom_config": json.dumps({"train": {"epochs": 1, "seed": 7}}),
        "train_args": '{"splits": ["train"]}',
    },
    "sources": {"tensorflow": "2.20.0", "trainer.model.flows": "0123", "trainer.gone": "4567"},
}


def changed(**changes):
    return json.loads(json.dumps(OLD)) | changes


@pytest.fixture
def trainer(state, facts):
    """Why the Trainer of the last run ran."""

    def of(name="Trainer"):
        (found,) = [node for node in facts("why")["nodes"] if node["node"] == name]
        return found

    return of


@pytest.mark.parametrize(
    ("parts", "difference"),
    [
        (
            changed(parameters=OLD["parameters"] | {"custom_config": json.dumps({"train": {"epochs": 2, "seed": 7}})}),
            ("setting", "epochs", 1, 2),
        ),
        (
            changed(parameters={"custom_config": OLD["parameters"]["custom_config"]}),
            ("setting", "train_args.splits", "train", None),
        ),
        (
            changed(inputs={"examples": [["Examples", "b" * 64, ""]]}),
            ("input", "examples", ["a" * 12], ["b" * 12]),
        ),
        (
            changed(inputs=OLD["inputs"] | {"base_model": [["Model", "c" * 64, ""]]}),
            ("input", "base_model", None, ["c" * 12]),
        ),
        (changed(sources=OLD["sources"] | {"tensorflow": "2.21.0"}), ("code", "tensorflow", "2.20.0", "2.21.0")),
        (
            changed(sources={name: OLD["sources"][name] for name in ("tensorflow", "trainer.model.flows")}),
            ("code", "trainer.gone", "4567", None),
        ),
    ],
)
def test_the_part_of_the_key_that_changed_is_named(state, trainer, parts, difference):
    first = state.run("a", parts=OLD)
    state.run("b", parts=parts)
    found = trainer()
    assert (found["result"], found["compared_with"]) == ("made", first)
    assert [tuple(one.values()) for one in found["differences"]] == [difference]


def test_it_is_compared_with_the_newest_execution_that_succeeded(state, trainer):
    first = state.run("a", parts=OLD)
    state.run("b", parts=changed(sources={}), fails="Trainer")
    state.run("c", parts=changed(inputs={}))
    assert trainer()["compared_with"] == first
    assert {one["kind"] for one in trainer()["differences"]} == {"input"}


def of_span(number, seed):
    return {"inputs": {}, "parameters": {"span": number, "seed": seed}, "sources": {}}


def test_a_span_is_compared_with_the_earlier_run_and_there_with_itself(state, trainer):
    first = state.run("a")
    for number in (1, 2):
        state.span(first, number, of_span(number, seed=7))
    second = state.run("b")
    for number in (1, 2, 3):
        state.span(second, number, of_span(number, seed=8))
    for number in (1, 2):
        found = trainer(f"ImageExampleGen.span-{number}")
        assert found["compared_with"] == f"{first}.span-{number}"
        assert [one["name"] for one in found["differences"]] == ["seed"]
    new = trainer("ImageExampleGen.span-3")
    assert new["compared_with"] == f"{first}.span-2", "the newest of the earlier run, as it has no span 3"
    assert [(one["name"], one["old"]) for one in new["differences"]] == [("seed", 7), ("span", 2)]


def test_reasons_that_are_no_difference(state, trainer, vaeiaf):
    first = state.run("a", parts=OLD)
    assert trainer()["reason"] == "it is its first execution"
    assert trainer("AtomicPusher")["reason"] == "it runs every time"
    state.run("a", parts=OLD)
    assert (trainer()["result"], trainer()["compared_with"]) == ("reused", first)
    vaeiaf("prune", "--keep=1")
    state.run("a again", parts=OLD)
    assert trainer()["reason"] == "nothing changed, but the earlier result was damaged or removed"
    state.run("b")
    assert trainer()["reason"] == "the parts of the earlier key were not recorded"


def test_an_execution_that_did_not_finish_is_a_reason(state, trainer):
    state.run("a", parts=OLD, fails="Trainer")
    state.run("a", parts=OLD)
    assert trainer()["reason"] == "nothing changed, but the earlier execution did not finish"


def test_the_text_has_a_line_for_each_difference_and_long_values_are_cut(state, vaeiaf):
    first = state.run("a", parts=OLD)
    settings = json.dumps({"train": {"epochs": 1, "seed": "x" * 500}})
    parts = changed(parameters=OLD["parameters"] | {"custom_config": settings}, sources={}, inputs={})
    second = state.run("b", parts=parts)
    lines = [" ".join(line.split()) for line in vaeiaf("why", "Trainer")[1].splitlines()]
    assert lines == [
        f"Run {second}",
        "node result why since run",
        f"Trainer made setting seed: 7 -> {'x' * 57}... {first}",
        "input examples: gone",
        "code tensorflow: gone",
        "code trainer.gone: gone",
        "code trainer.model.flows: gone",
    ]
    assert vaeiaf("why", "Trainer", "--run", first)[1].startswith(f"Run {first}\n")


def test_the_wording_of_mistakes(three, vaeiaf):
    ids = [f"2026-01-01T{hour:02d}:00:00" for hour in (2, 1, 0)]
    assert vaeiaf("why", "trainer")[2] == (
        "vaeiaf: NODE: expected a node of this run, ImageExampleGen, Trainer, Evaluator, AtomicPusher, Report, got "
        "'trainer'. Did you mean Trainer?\n"
    )
    assert vaeiaf("why", "--run=2026-01-01T00:00:01")[2] == (
        f"vaeiaf: --run: expected the id of a run of vaeiaf-toy, such as {', '.join(ids)}, got "
        f"'2026-01-01T00:00:01'. Did you mean {ids[2]}?\n"
    )
