"""A failure survives its file, fits in a termination message, and tells a scheduler by its exit code who must act."""

import json
import os
import signal

import pytest

from trainer import failure
from trainer.errors import (
    InterruptError,
    ReportedError,
    StorageError,
    UnreadableError,
    UserError,
    reason,
    report,
)
from trainer.failure import MAX_BYTES, Failure, Kind, leave, left

EVERY_KIND = [
    Failure(Kind.BAD_INPUT, "epochs", 0, "at least 1", "Use --epochs", "the user"),
    Failure(Kind.REFUSED, "the model is worse", {"elbo": -1900.5, "bound": [1, None]}),
    Failure(Kind.INFRASTRUCTURE, "the disk is full", cause="No space left on device"),
    Failure(Kind.STOPPED, "interrupted by SIGHUP", "SIGHUP"),
    Failure(Kind.BUG, "KeyError: 'Größe'"),
]


@pytest.mark.parametrize("found", EVERY_KIND, ids=lambda found: found.kind)
def test_a_failure_of_every_kind_survives_its_file_and_its_error(found, tmp_path):
    path = str(tmp_path / "error.json")
    leave(found, path)
    assert left(path) == found
    assert ReportedError.of(found).failure == found
    assert str(ReportedError.of(found)) == str(found) == json.loads(found.to_json())["message"]


def test_every_kind_is_among_them():
    assert {found.kind for found in EVERY_KIND} == {*Kind}


@pytest.mark.parametrize(("found", "code"), zip(EVERY_KIND, [2, 3, 1, 129, 1], strict=True))
def test_the_kind_decides_about_the_exit_code(found, code):
    assert found.exit_code == ReportedError.of(found).exit_code == code


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "sentence"),
        ({"value": 3}, "sentence"),
        ({"value": 3, "cause": "cause"}, "sentence"),
        ({"value": 3, "valid": "less"}, "sentence: expected less, got 3"),
        ({"value": "3", "valid": "less", "remedy": "Do"}, "sentence: expected less, got '3'. Do"),
        ({"remedy": "Do"}, "sentence. Do"),
    ],
)
def test_the_text_has_the_parts_that_there_are(fields, text):
    assert str(Failure(Kind.BUG, "sentence", **fields)) == text


@pytest.mark.parametrize("name", ["sentence", "value", "valid", "remedy", "cause"])
@pytest.mark.parametrize("text", ["x" * 20_000, "ü" * 20_000, '"\n' * 20_000])
def test_a_long_failure_is_cut_to_what_kubernetes_keeps(name, text):
    found = Failure(**{"kind": Kind.BUG, "sentence": "short", name: text})
    written = found.to_json()
    assert len(written.encode()) <= MAX_BYTES
    read = Failure.from_json(written)
    assert read.kind == Kind.BUG
    assert text.startswith(getattr(read, name))
    assert len(getattr(read, name)) >= 100


@pytest.mark.parametrize("value", ["\N{GRINNING FACE}" * 5000, {str(i): i for i in range(5000)}, [["ü" * 5000]]])
def test_all_fields_may_be_long(value):
    found = Failure(Kind.BAD_INPUT, *["\N{GRINNING FACE}" * 5000, value, *["\N{GRINNING FACE}" * 5000] * 3])
    assert len(found.to_json().encode()) <= MAX_BYTES
    assert Failure.from_json(found.to_json()).kind == Kind.BAD_INPUT


def test_a_value_that_is_no_json_is_shown():
    assert Failure.from_json(Failure(Kind.BUG, "", value={1}).to_json()).value == "{1}"


@pytest.mark.parametrize("length", [0, 1, 30])
def test_a_torn_file_is_no_failure(length, tmp_path):
    path = tmp_path / "error.json"
    leave(EVERY_KIND[0], str(path))
    os.truncate(path, length)
    assert left(str(path)) is None


@pytest.mark.parametrize(
    "text", ["null", "[]", "{}", '{"kind": "none", "sentence": ""}', '{"kind": "bug"}', "Error: 3"]
)
def test_a_text_that_is_none_is_no_failure(text):
    assert Failure.from_json(text) is None


def test_a_field_of_another_version_makes_it_no_failure():
    fields = {**json.loads(EVERY_KIND[0].to_json()), "of another version": 1}
    assert Failure.from_json(json.dumps(fields)) is None


@pytest.mark.parametrize("content", [None, b"\xff\xfe{"])
def test_what_cannot_be_read_is_no_failure(content, tmp_path):
    if content:
        (tmp_path / "error.json").write_bytes(content)
    assert left(str(tmp_path / "error.json")) is None


def test_a_disk_that_takes_no_failure_is_no_error(tmp_path):
    leave(EVERY_KIND[0], str(tmp_path / "none" / failure.FILE))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UserError("no"), Kind.BAD_INPUT),
        (ReportedError("no"), Kind.INFRASTRUCTURE),
        (ReportedError("no", kind=Kind.REFUSED), Kind.REFUSED),
        (StorageError("it", "/there", OSError(28, "full")), Kind.INFRASTRUCTURE),
        (UnreadableError("it", "/there", OSError(5, "gone")), Kind.INFRASTRUCTURE),
        (InterruptError(signal.SIGINT), Kind.STOPPED),
        (KeyError("a"), Kind.BUG),
    ],
)
def test_a_reported_error_leaves_who_has_to_act(error, kind, tmp_path, capsys):
    path = str(tmp_path / "error.json")
    code = report(error, path)
    failure = left(path)
    assert (failure.kind, failure.exit_code) == (kind, code)
    said = capsys.readouterr().err
    assert said == ("KeyError: 'a'\n" if kind == Kind.BUG else f"trainer: {failure}\n")


def test_a_failure_that_nobody_asks_for_is_only_said(capsys):
    assert report(UserError("no"), None) == 2
    assert capsys.readouterr().err == "trainer: no\n"


def test_an_exception_as_cause_ends_the_sentence_with_its_reason():
    found = UserError("it cannot be read", cause=OSError(28, "No space left on device")).failure
    assert (found.sentence, found.cause) == (
        "it cannot be read: No space left on device",
        "No space left on device",
    )


@pytest.mark.parametrize("found", EVERY_KIND[:1] + EVERY_KIND[3:4], ids=["bad input", "stopped"])
def test_the_error_of_another_process_has_the_class_of_its_kind(found):
    assert type(ReportedError.of(found)) is {Kind.BAD_INPUT: UserError, Kind.STOPPED: InterruptError}[found.kind]


@pytest.mark.parametrize("error", [StorageError, UnreadableError])
def test_an_error_of_the_disk_has_the_path_and_the_systems_words(error):
    found = error("the model", "/there", OSError(28, "No space left on device")).failure
    assert (found.value, found.cause) == ("/there", "No space left on device")


def test_an_error_without_words_is_named():
    assert reason(IndexError()) == "IndexError"
