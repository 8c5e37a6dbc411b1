"""rollback and withdraw: what is served afterwards, what is recorded, and what is refused."""

import contextlib
import errno
import fcntl
import os
import time
import types

import pytest

from components.card.files import read_card
from components.card.names import FILES
from components.gate import publish
from components.gate.serving import newest, versions
from components.gate.withdrawal import withdrawals
from pipeline.state.verify import verify
from trainer import exit_codes
from trainer.storage import lock
from trainer.storage.digests import write_digests

WHY = ("--reason", "grey samples", "--who", "ada")


def test_a_rollback_serves_the_model_before_as_a_new_version_with_its_numbers_and_its_author(three, vaeiaf, facts):
    a, b, c = three.versions()
    code, out, _ = vaeiaf("rollback", *WHY)
    assert code == exit_codes.DONE
    *before, served = three.versions()
    assert (before, three.content()) == ([a, b, c], "b")
    assert f"vaeiaf-toy serves version {served}, the model of {b}. " in out
    assert f"vaeiaf withdraw {c} prevents that" in out
    newest, *_, of_b, _ = facts("models")
    assert (newest["state"], newest["restores"]) == ("served", b)
    assert all(newest[name] == of_b[name] for name in ("run", "elbo", "digest"))
    (change,) = facts("status")["changes"]
    assert (change["change"], change["who"], change["reason"]) == ("rollback", "ada", "grey samples")
    assert (change["version"], change["served"], change["is_complete"]) == (b, served, True)
    assert "rollback to" in vaeiaf("status")[1]
    assert verify(str(three.root)).damage == []


def test_the_card_of_what_is_served_has_its_own_number_and_says_who_copied_what_and_why(three, vaeiaf):
    a, b, _ = three.versions()
    for arguments in (("rollback",), ("withdraw", b)):
        assert vaeiaf(*arguments, *WHY)[0] == exit_codes.DONE
    served = three.versions()[-1]
    card, of_a = read_card(str(three.pushed / str(served))), read_card(str(three.pushed / str(a)))
    assert (card.version, card.model, card.figures) == (served, of_a.model, of_a.figures)
    assert [(one.version, one.change, one.who, one.reason) for one in card.copies] == [
        (a, "withdrawal", "ada", "grey samples")
    ]
    assert (of_a.version, of_a.copies) == (a, [])
    assert verify(str(three.root)).damage == []


def test_a_model_of_an_earlier_version_of_the_project_is_served_again_without_a_card(three, vaeiaf):
    a = three.pushed / str(three.versions()[0])
    for name in FILES:
        (a / name).unlink()
    write_digests(str(a))
    assert vaeiaf("rollback", a.name, *WHY)[0] == exit_codes.DONE
    assert read_card(str(three.pushed / str(three.versions()[-1]))) is None
    assert verify(str(three.root)).damage == []


def test_one_rollback_after_another_goes_further_back_and_a_named_version_forward_again(three, vaeiaf):
    *_, c = three.versions()
    contents = []
    for arguments in ((), (), (c,)):
        assert vaeiaf("rollback", *arguments, *WHY)[0] == exit_codes.DONE
        contents.append(three.content())
    assert contents == ["b", "a", "c"]
    vaeiaf("rollback", *WHY)
    assert three.content() == "b"


def test_a_rollback_passes_over_a_damaged_version(three, vaeiaf):
    (three.pushed / str(three.versions()[1]) / "file").write_text("else")
    vaeiaf("rollback", *WHY)
    assert three.content() == "a"


def test_a_damaged_served_version_can_be_replaced_by_another_copy_of_its_model(three, vaeiaf):
    a, *_ = three.versions()
    vaeiaf("rollback", a, *WHY)
    (three.pushed / str(three.versions()[-1]) / "file").write_text("else")
    assert vaeiaf("rollback", a, *WHY)[0] == exit_codes.DONE
    assert three.content() == "a"


def test_the_withdrawal_of_the_served_version_serves_the_one_before(three, vaeiaf, facts):
    a, b, c = three.versions()
    code, out, _ = vaeiaf("withdraw", c, *WHY)
    assert code == exit_codes.DONE
    assert (three.versions()[:-1], three.content()) == ([a, b], "b")
    served = three.versions()[-1]
    assert out == f"Withdrawn: {c}. vaeiaf-toy serves version {served}, the model of {b}.\n"
    models = {version["version"]: version for version in facts("models")}
    assert (models[c]["state"], models[c]["damage"]) == ("withdrawn", None)
    assert (models[c]["withdrawn"]["who"], models[c]["withdrawn"]["reason"]) == ("ada", "grey samples")
    assert (models[served]["state"], models[served]["restores"]) == ("served", b)
    assert verify(str(three.root)).damage == []


def test_the_withdrawal_of_another_version_takes_its_copies_along_and_leaves_what_is_served(three, vaeiaf):
    a, b, c = three.versions()
    vaeiaf("rollback", a, *WHY)
    vaeiaf("rollback", c, *WHY)
    copy, served = three.versions()[-2:]
    assert verify(str(three.root)).damage == []
    assert vaeiaf("withdraw", a, *WHY)[1] == f"Withdrawn: {a}, {copy}. vaeiaf-toy serves version {served}.\n"
    assert three.versions() == [b, c, served]
    assert verify(str(three.root)).damage == []
    vaeiaf("rollback", *WHY)
    vaeiaf("rollback", *WHY)
    assert three.content() == "b"


def test_a_withdrawn_version_is_never_chosen_again(three, vaeiaf):
    _, b, _ = three.versions()
    vaeiaf("withdraw", b, *WHY)
    for command, arguments in (("rollback", [b]), ("withdraw", [b])):
        code, _, err = vaeiaf(command, *arguments, *WHY)
        assert (code, err) == (
            exit_codes.BAD_INPUT,
            f"vaeiaf: version {b} was withdrawn by ada: grey samples. vaeiaf models lists the versions\n",
        )
    vaeiaf("rollback", *WHY)
    assert three.content() == "a"


def test_the_last_model_is_withdrawn_only_by_an_explicit_choice(state, vaeiaf):
    state.run("a")
    (a,) = state.versions()
    code, _, err = vaeiaf("withdraw", a, *WHY)
    assert code == exit_codes.BAD_INPUT
    assert "Choose with --serve: nothing. " in err
    assert state.versions() == [a]
    assert vaeiaf("withdraw", a, "--serve=nothing", *WHY)[1] == f"Withdrawn: {a}. vaeiaf-toy serves nothing.\n"
    assert state.versions() == []
    assert "vaeiaf-toy serves nothing." in vaeiaf("status")[1]
    state.run("b")
    assert state.versions()[0] > a


def test_where_no_version_came_before_a_later_one_can_be_chosen(three, vaeiaf):
    a, b, c = three.versions()
    vaeiaf("rollback", a, *WHY)
    code, _, err = vaeiaf("withdraw", a, *WHY)
    assert code == exit_codes.BAD_INPUT
    assert f"--serve: {c}, {b}, nothing" in err
    assert vaeiaf("withdraw", a, f"--serve={c}", *WHY)[0] == exit_codes.DONE
    assert three.content() == "c"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("rollback {c}", "version {c} is the model that is served, as version {c}. Name another: {b}, {a}"),
        ("rollback 7", "version: expected one of {a}, {b}, {c}, got 7"),
        ("rollback x", "VERSION: expected a whole number, got 'x'"),
        ("withdraw 7", "version: expected one of {a}, {b}, {c}, got 7"),
        ("withdraw {c} --serve={c}", "--serve: expected a version of another model, {b}, {a}, got {c}"),
        (
            "withdraw {c} --serve=none",
            "argument --serve: expected a version, or nothing, got 'none'. See vaeiaf withdraw --help",
        ),
        ("rollback --who=", "--who: expected a text, got ''"),
        ("rollback --reason=", "--reason: expected a text, got ''"),
    ],
)
def test_the_wording_of_mistakes(three, vaeiaf, command, message):
    a, b, c = three.versions()
    given = command.format(a=a, b=b, c=c).split()
    assert vaeiaf(given[0], *WHY, *given[1:]) == (
        exit_codes.BAD_INPUT,
        "",
        f"vaeiaf: {message.format(a=a, b=b, c=c)}\n",
    )
    assert three.versions() == [a, b, c]


def test_a_reason_is_required(three, vaeiaf):
    code, _, err = vaeiaf("rollback")
    assert (code, err) == (
        exit_codes.BAD_INPUT,
        "vaeiaf: the following arguments are required: --reason. See vaeiaf rollback --help\n",
    )


def test_a_damaged_version_is_refused(three, vaeiaf):
    a, *_ = three.versions()
    (three.pushed / str(a) / "file").write_text("else")
    code, _, err = vaeiaf("rollback", a, *WHY)
    assert code == exit_codes.FAILED
    assert err == (
        f"vaeiaf: version {a} is damaged: {three.pushed}/{a}/file has 4 bytes instead of 11. Choose another one; "
        "vaeiaf models lists them\n"
    )


def test_a_change_waits_for_a_push_and_says_so(three, vaeiaf, monkeypatch):
    monkeypatch.setattr(lock, "SILENT_SECONDS", 0.0)
    with open(three.pushed / ".lock", "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        clock = types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: held.close())
        monkeypatch.setattr(lock, "time", clock)  # not the module's sleep, which threads of other tests call
        code, _, err = vaeiaf("rollback", *WHY)
    assert (code, err) == (exit_codes.DONE, f"waiting for another push, which holds {three.pushed}/.lock\n")


def test_nothing_can_be_changed_where_nothing_was_pushed(state, vaeiaf):
    state.run("a", refused="too low")
    assert vaeiaf("rollback", *WHY)[::2] == (
        exit_codes.BAD_INPUT,
        "vaeiaf: vaeiaf-toy serves nothing, so nothing can be changed. Push a model first, with vaeiaf run\n",
    )


def test_the_only_version_has_none_to_go_back_to(state, vaeiaf):
    state.run("a")
    (only,) = state.versions()
    assert vaeiaf("rollback", *WHY)[::2] == (
        exit_codes.BAD_INPUT,
        f"vaeiaf: no intact version of another model came before {only}, which is served. Push another model first; "
        "there is no version of one\n",
    )
    assert state.versions() == [only]


def test_a_full_disk_changes_nothing_and_the_record_says_that_it_did_not_end(three, vaeiaf, facts, monkeypatch):
    before = three.versions()

    def fill_the_disk(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(publish.shutil, "copytree", fill_the_disk)
        code, _, err = vaeiaf("rollback", *WHY)
    assert code == exit_codes.FAILED
    assert err.startswith(f"vaeiaf: the version cannot be written to {three.pushed}: No space left on device.")
    assert three.versions() == before
    (change,) = facts("status")["changes"]
    assert not change["is_complete"]
    assert verify(str(three.root)).damage == []


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
def killed(vaeiaf, monkeypatch):
    """Runs a command that is killed before its renaming number `step`; tells whether it was."""

    def run(step, *arguments):
        steps = []

        def dying(function):
            def call(*arguments):
                steps.append(function)
                if len(steps) > step:
                    raise KilledError
                return function(*arguments)

            return call

        with monkeypatch.context() as patch, contextlib.suppress(KilledError):
            patch.setattr(os, "rename", dying(os.rename))
            patch.setattr(os, "replace", dying(os.replace))
            vaeiaf(*arguments)
            return False
        return True

    return run


@pytest.mark.parametrize("step", range(6))
def test_a_withdrawal_that_is_killed_anywhere_serves_a_whole_model_and_the_next_one_completes_it(
    three, vaeiaf, killed, step
):
    *_, c = three.versions()
    killed(step, "withdraw", c, *WHY)
    assert three.content() in "bc"
    assert verify(str(three.root)).damage == []
    again = vaeiaf("withdraw", c, *WHY)
    assert again[0] == exit_codes.DONE or "was withdrawn by ada" in again[2]
    assert three.content() == "b"
    assert c not in three.versions()
    assert [found.version for found in withdrawals(str(three.pushed))] == [c]
    assert verify(str(three.root)).damage == []


@pytest.mark.parametrize("step", range(8))
def test_a_withdrawal_that_is_killed_anywhere_is_seen_by_all_from_its_first_note_on(three, vaeiaf, facts, killed, step):
    a, b, c = three.versions()
    vaeiaf("rollback", a, *WHY)
    copy = three.versions()[-1]
    assert killed(step, "withdraw", a, "--serve=nothing", *WHY) == (step < 7), "two notes, four renamings, a page"
    begun = bool(withdrawals(str(three.pushed)))
    assert begun == (step > 0)
    assert versions(str(three.pushed)) == ([b, c] if begun else [a, b, c, copy])
    assert newest(str(three.pushed)).version == (c if begun else copy)
    listed = {one["version"]: one["state"] for one in facts("models")}
    assert [listed[one] for one in (a, b, c, copy)] == (
        ["withdrawn", "kept", "served", "withdrawn"] if begun else ["kept", "kept", "kept", "served"]
    )
    assert verify(str(three.root)).damage == []
    vaeiaf("prune", "--keep=9")
    names = {name for name in os.listdir(three.pushed) if name.isdigit()}
    assert names == ({str(b), str(c)} if begun else {str(one) for one in (a, b, c, copy)}), "a prune completes it"
