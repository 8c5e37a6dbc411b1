import itertools
import json

import pytest
from kfp_emulator import Fault

NIGHTLY = ("schedule", "--name", "nightly", "--cron", "0 0 3 * * *")
WEEKLY = ("schedule", "--name", "nightly", "--cron", "0 0 3 * * SUN")


def test_a_schedule_is_pinned_runs_one_at_a_time_and_makes_up_for_nothing(kfp, vaeiaf):
    code, out, err = vaeiaf(*NIGHTLY, "--param", "epochs=3")
    assert (code, err) == (0, "")
    (run,) = kfp.recurring.values()
    (version,) = kfp.versions.values()
    assert out == f"nightly: scheduled, 0 0 3 * * * in UTC, version {version['display_name']}\n"
    assert run["mode"] == "ENABLE"
    assert run["no_catchup"] is True
    assert run["max_concurrency"] == "1"
    assert run["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert run["runtime_config"]["parameters"] == {"epochs": "3"}
    assert run["pipeline_version_reference"] == {
        "pipeline_id": version["pipeline_id"],
        "pipeline_version_id": version["pipeline_version_id"],
    }
    assert run["namespace"] == "team"


@pytest.mark.parametrize(
    "change", [{"cron": "0 0 4 * * *"}, {"params": ("--param", "epochs=4")}, {"version": "v2"}, {"experiment": "mine"}]
)
def test_whatever_changes_the_schedule_is_replaced(kfp, vaeiaf, monkeypatch, change):
    vaeiaf(*NIGHTLY)
    (old,) = kfp.recurring
    monkeypatch.setenv("VAEIAF_REVISION", change.get("version", "v1"))
    words = ("--cron", change.get("cron", "0 0 3 * * *"), "--experiment", change.get("experiment", "vaeiaf"))
    code, out, _ = vaeiaf("schedule", "--name", "nightly", *words, *change.get("params", ()))
    assert code == 0
    assert "scheduled" in out
    assert len(kfp.recurring) == len(kfp.enabled()) == 1
    assert old not in kfp.recurring


def test_what_is_as_it_should_be_is_left_alone(kfp, vaeiaf):
    vaeiaf(*NIGHTLY, "--param", "epochs=3")
    before = dict(kfp.recurring)
    code, out, _ = vaeiaf(*NIGHTLY, "--param", "epochs=3")
    assert (code, kfp.recurring) == (0, before)
    assert "unchanged" in out


def test_its_runs_have_the_account_of_the_cluster(kfp, vaeiaf, cluster_file):
    cluster_file.write_text(cluster_file.read_text() + "service_account: ours\n")
    vaeiaf(*NIGHTLY)
    assert [run["service_account"] for run in kfp.enabled()] == ["ours"]
    kfp.enabled()[0]["service_account"] = "default-editor"
    assert "scheduled" in vaeiaf(*NIGHTLY)[1]
    assert [run["service_account"] for run in kfp.enabled()] == ["ours"]
    assert "unchanged" in vaeiaf(*NIGHTLY)[1]


@pytest.mark.parametrize("tampered", [{"no_catchup": False}, {"max_concurrency": "3"}, {"mode": "DISABLE"}])
def test_what_somebody_else_has_changed_is_put_right(kfp, vaeiaf, tampered):
    vaeiaf(*NIGHTLY)
    kfp.enabled()[0].update(tampered)
    vaeiaf(*NIGHTLY)
    (run,) = kfp.recurring.values()
    assert {name: run[name] for name in ("no_catchup", "max_concurrency", "mode")} == {
        "no_catchup": True,
        "max_concurrency": "1",
        "mode": "ENABLE",
    }


def test_a_paused_schedule_that_is_scheduled_anew_is_enabled(kfp, vaeiaf):
    vaeiaf(*NIGHTLY)
    vaeiaf("schedule", "--pause", "nightly")
    vaeiaf(*NIGHTLY)
    assert len(kfp.recurring) == len(kfp.enabled()) == 1


def test_other_names_are_left_alone(kfp, vaeiaf):
    for name in ("a", "b", "c"):
        vaeiaf("schedule", "--name", name, "--cron", "0 0 3 * * *")
    vaeiaf("schedule", "--name", "b", "--cron", "0 0 4 * * *")
    vaeiaf("schedule", "--pause", "c")
    vaeiaf("schedule", "--delete", "a")
    assert sorted((run["display_name"], run["mode"]) for run in kfp.recurring.values()) == [
        ("b", "ENABLE"),
        ("c", "DISABLE"),
    ]


@pytest.mark.parametrize("lost", ["the request", "the answer", "the answer, and all after it"])
def test_wherever_a_replacement_is_interrupted_one_stays_enabled_and_the_next_call_repairs(kfp, vaeiaf, lost):
    vaeiaf(*NIGHTLY)
    outcomes, doubled = [], []
    crons = itertools.cycle([WEEKLY, NIGHTLY])
    for step in range(1, 100):
        command, first = next(crons), len(kfp.requests)
        # Once the step is reached every request fails, or is done and its answer lost.
        kfp.fault = lambda number, *_, first=first, step=step: (
            Fault(500, applies=lost == "the answer" or (lost != "the request" and number == first + step))
            if number >= first + step
            else None
        )
        code, _, err = vaeiaf(*command)
        outcomes.append(code)
        assert len(kfp.enabled()) in (1, 2), f"none is enabled after step {step}"
        doubled += [step] * (len(kfp.enabled()) == 2)
        kfp.fault = lambda *_: None
        assert vaeiaf(*command)[0] == 0
        assert len(kfp.recurring) == len(kfp.enabled()) == 1
        assert kfp.enabled()[0]["trigger"]["cron_schedule"]["cron"] == command[-1]
        if code == 0:
            break
        assert "injected fault" in err
    assert outcomes == [1] * (len(outcomes) - 1) + [0]
    assert len(outcomes) > 8
    assert len(doubled) <= 1, "two only between the one request that enables the new and the one that disables the old"


def test_a_passing_error_within_a_replacement_is_outlasted(kfp, vaeiaf, clock):
    vaeiaf(*NIGHTLY)
    seen = set()

    def fault(number, method, path):
        if method == "DELETE" or path.endswith(("able",)):
            new = (method, path) not in seen
            seen.add((method, path))
            return Fault(503) if new else None
        return None

    kfp.fault = fault
    assert vaeiaf(*WEEKLY)[0] == 0
    assert len(kfp.recurring) == len(kfp.enabled()) == 1
    assert clock == [1, 1, 1], "to enable, to disable and to delete"


@pytest.mark.parametrize("orphans", [True, False])
def test_a_replacement_does_not_stop_the_run_of_its_predecessor(kfp, vaeiaf, orphans):
    kfp.orphans = orphans
    vaeiaf(*NIGHTLY)
    run = kfp.fire(kfp.enabled()[0])
    code, out, _ = vaeiaf(*WEEKLY)
    assert code == 0
    assert run["run_id"] in out
    assert run["state"] == "RUNNING"
    assert [one["trigger"]["cron_schedule"]["cron"] for one in kfp.enabled()] == ["0 0 3 * * SUN"]
    run["state"] = "SUCCEEDED"
    code, out, _ = vaeiaf(*WEEKLY)
    assert (code, len(kfp.recurring)) == (0, 1)
    assert "unchanged" in out


def test_a_run_too_young_to_be_known_is_not_stopped_where_kubeflow_can_help_it(kfp, vaeiaf):
    vaeiaf(*NIGHTLY)
    (old,) = kfp.enabled()
    young = []
    kfp.fault = lambda number, method, path: young.append(kfp.fire(old)) if method == "DELETE" else None
    assert vaeiaf(*WEEKLY)[0] == 0
    assert [run["state"] for run in young] == ["RUNNING"]
    assert old not in kfp.recurring.values()


def test_a_deletion_does_not_stop_a_run_either(kfp, vaeiaf):
    kfp.orphans = False
    vaeiaf(*NIGHTLY)
    run = kfp.fire(kfp.enabled()[0])
    code, out, _ = vaeiaf("schedule", "--delete", "nightly")
    assert (code, kfp.enabled(), run["state"]) == (0, [], "RUNNING")
    assert out == (
        "nightly: paused, not deleted, which could stop its run. Delete it after the end of: "
        f"#/runs/details/{run['run_id']}\n"
    )
    run["state"] = "FAILED"
    assert vaeiaf("schedule", "--delete", "nightly")[1] == "nightly: deleted\n"
    assert kfp.recurring == {}


def test_the_list_has_a_row_for_each_schedule_with_what_is_not_the_default(kfp, vaeiaf, monkeypatch):
    assert vaeiaf("schedule", "--list")[1] == "No schedule in namespace team\n"
    vaeiaf(*NIGHTLY, "--param", "epochs=3", "--param", "workers=1", "--param", "dataset=photo_patches")
    monkeypatch.setenv("VAEIAF_REVISION", "v2")
    for name in ("b", "a", "c"):
        vaeiaf("schedule", "--name", name, "--cron", "0 30 4 * * *")
    vaeiaf("schedule", "--pause", "a")
    kfp.fire(kfp.enabled()[0])
    vaeiaf(*WEEKLY)
    rows = [line.split() for line in vaeiaf("schedule", "--list")[1].splitlines()]
    old, new = (version["display_name"] for version in kfp.versions.values())
    assert rows == [
        ["name", "cron", "(UTC)", "state", "version", "parameters"],
        ["a", "0", "30", "4", "*", "*", "*", "paused", new],
        ["b", "0", "30", "4", "*", "*", "*", "enabled", new],
        ["c", "0", "30", "4", "*", "*", "*", "enabled", new],
        ["nightly", "0", "0", "3", "*", "*", "*", "replaced", old, "epochs=3", "dataset=photo_patches"],
        ["nightly", "0", "0", "3", "*", "*", "SUN", "enabled", new],
    ]
    listed = json.loads(vaeiaf("schedule", "--list", "--json")[1])
    assert [" ".join(row[:1]) for row in rows[1:]] == [item["name"] for item in listed]
    assert listed[3]["parameters"]["dataset"] == "photo_patches"


def test_pause_and_resume_leave_one_enabled_at_most(kfp, vaeiaf):
    vaeiaf(*NIGHTLY)
    kfp.fire(kfp.enabled()[0])
    vaeiaf(*WEEKLY)
    assert vaeiaf("schedule", "--pause", "nightly")[:2] == (0, "nightly: paused\n")
    assert kfp.enabled() == []
    assert vaeiaf("schedule", "--resume", "nightly")[:2] == (0, "nightly: enabled\n")
    assert [run["trigger"]["cron_schedule"]["cron"] for run in kfp.enabled()] == ["0 0 3 * * SUN"]


@pytest.mark.parametrize("what", ["--pause", "--resume", "--delete"])
def test_an_unknown_schedule_is_named(kfp, refused, what):
    error = refused("schedule", what, "nightly")
    assert (error.exit_code, error.failure.value) == (2, "nightly")
    assert str(error) == "namespace team has no schedule nightly. Use --list to see the schedules"


@pytest.mark.parametrize("words", [NIGHTLY, ("schedule", "--delete", "nightly"), ("schedule", "--pause", "nightly")])
def test_a_recurring_run_of_another_pipeline_is_never_touched(kfp, vaeiaf, refused, words):
    foreign = {"display_name": "nightly", "mode": "ENABLE", "namespace": "team", "recurring_run_id": "x"}
    kfp.recurring["x"] = {
        **foreign,
        "created_at": "2026-01-01T00:00:00Z",
        "pipeline_version_reference": {"pipeline_id": "theirs"},
    }
    error = refused(*words)
    assert (error.exit_code, error.failure.value) == (2, "nightly")
    assert str(error) == (
        "namespace team has a recurring run nightly of another pipeline than vaeiaf. Choose another name, or delete it "
        "in the UI"
    )
    assert [run["mode"] for run in kfp.recurring.values()] == ["ENABLE"]
    assert kfp.versions == {}
    assert vaeiaf("schedule", "--list")[1] == "No schedule in namespace team\n"


@pytest.mark.parametrize(
    ("words", "value", "sentence"),
    [
        (("--cron", "0 3 * * *", "--name", "nightly"), "0 3 * * *", "--cron"),
        (("--cron", "0 0 3 * * *"), None, "--cron needs --name"),
        ((*NIGHTLY[1:], "--time-zone", "Europe/Berlin"), "Europe/Berlin", "--time-zone"),
        ((*NIGHTLY[1:], "--param", "epoch=1"), "epoch", "epoch"),
        *(
            (words, None, "--name, --param, --time-zone and --experiment have no meaning without --cron")
            for words in (
                ("--list", "--name", "nightly"),
                ("--list", "--experiment", "mine"),
                ("--pause", "nightly", "--param", "epochs=1"),
                ("--delete", "nightly", "--time-zone", "UTC"),
            )
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked_of_the_server(kfp, refused, capsys, words, value, sentence):
    error = refused("schedule", *words)
    assert (error.exit_code, capsys.readouterr().out, kfp.requests) == (2, "", [])
    assert (error.failure.sentence, error.failure.value) == (sentence, value)


def test_the_time_zone_is_that_of_the_cluster(kfp, vaeiaf, cluster_file):
    cluster_file.write_text(cluster_file.read_text() + "time_zone: Europe/Berlin\n")
    code, out, _ = vaeiaf(*NIGHTLY, "--time-zone", "Europe/Berlin")
    assert code == 0
    assert "0 0 3 * * * in Europe/Berlin" in out
