import os
import sys
import types

import pytest
from kfp_emulator import Fault

from kubeflow.spec.parameters import description
from pipeline.cli import main
from trainer.errors import UserError


def test_a_run_is_started_of_a_pinned_version_in_an_experiment_of_the_namespace(kfp, vaeiaf):
    code, out, err = vaeiaf("submit", "--param", "epochs=3", "--param", "dataset=photo_patches", "--experiment", "mine")
    assert (code, err) == (0, "")
    (run,) = kfp.runs.values()
    (version,) = kfp.versions.values()
    (pipeline,) = kfp.pipelines.values()
    (experiment,) = kfp.experiments.values()
    assert pipeline["namespace"] == experiment["namespace"] == "team"
    assert experiment["display_name"] == "mine"
    assert run["experiment_id"] == experiment["experiment_id"]
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert run["runtime_config"]["parameters"] == {"epochs": "3", "dataset": "photo_patches"}
    assert f"Run #/runs/details/{run['run_id']} in the UI (kubectl port-forward -n kubeflow svc/ml-pipeline-ui" in out
    assert version["display_name"].startswith("v1-")


@pytest.mark.parametrize(("setting", "account"), [("", "default-editor"), ("service_account: ours\n", "ours")])
def test_a_run_is_started_as_the_account_of_the_cluster_or_else_as_kubeflow_s(
    kfp, vaeiaf, cluster_file, setting, account
):
    cluster_file.write_text(cluster_file.read_text() + setting)
    assert vaeiaf("submit")[0] == 0
    (run,) = kfp.runs.values()
    assert run["service_account"] == account


@pytest.mark.parametrize("given", ["setting", "environment", "option"])
def test_links_have_the_address_of_the_ui(kfp, vaeiaf, cluster_file, monkeypatch, given):
    of_option = ("--ui", "http://localhost:8080/") if given == "option" else ()
    if given != "setting":
        monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://environment.example.com/pipeline/")
    cluster_file.write_text(cluster_file.read_text() + "ui: https://setting.example.com/\n")
    expected = {
        "setting": "https://setting.example.com",
        "environment": "https://environment.example.com/pipeline",
        "option": "http://localhost:8080",
    }
    code, out, _ = vaeiaf("submit", *of_option)
    assert (code, out.splitlines()[-1]) == (0, f"Run {expected[given]}/#/runs/details/{next(iter(kfp.runs))}")


def test_an_invalid_address_of_the_ui_is_refused_before_anything_is_asked_of_the_server(kfp, refused):
    error = refused("submit", "--ui", "kubeflow.example.com")
    assert (error.exit_code, error.setting, error.failure.value) == (2, "ui", "kubeflow.example.com")
    assert kfp.requests == []


def test_the_same_package_is_uploaded_once(kfp, vaeiaf):
    vaeiaf("submit")
    vaeiaf("submit")
    assert [len(kept) for kept in (kfp.pipelines, kfp.versions, kfp.experiments, kfp.runs)] == [1, 1, 1, 2]


def test_another_package_of_the_same_revision_is_another_version(kfp, vaeiaf, cluster_file):
    vaeiaf("submit")
    cluster_file.write_text(cluster_file.read_text().replace("vaeiaf:1", "vaeiaf:2"))
    vaeiaf("submit")
    names = [version["display_name"] for version in kfp.versions.values()]
    assert len(set(names)) == 2
    assert all(name.startswith("v1-") for name in names)
    references = [run["pipeline_version_reference"]["pipeline_version_id"] for run in kfp.runs.values()]
    assert references == list(kfp.versions)


def test_a_version_says_what_its_parameters_mean(kfp, vaeiaf):
    vaeiaf("submit")
    (version,) = kfp.versions.values()
    assert version["description"] == description()


@pytest.mark.parametrize("drop_downs", [True, False])
def test_a_kubeflow_that_knows_no_drop_downs_gets_none(kfp, vaeiaf, cluster_file, drop_downs):
    kfp.literals = False
    cluster_file.write_text(cluster_file.read_text() + f"drop_downs: {str(drop_downs).lower()}\n")
    assert [vaeiaf("submit")[0] for _ in range(2)] == [0, 0]
    (version,) = kfp.versions.values()
    assert "literals" not in str(version["pipeline_spec"])
    assert len(kfp.runs) == 2


@pytest.mark.parametrize("drop_downs", [True, False])
def test_a_package_without_drop_downs_that_kubeflow_does_not_know_is_told(kfp, refused, cluster_file, drop_downs):
    """Something else is wrong with it then."""
    cluster_file.write_text(cluster_file.read_text() + f"drop_downs: {str(drop_downs).lower()}\n")
    kfp.fault = lambda number, method, path: (
        Fault(500, b'{"error_message": "unknown template format"}') if path.endswith("upload_version") else None
    )
    assert "unknown template format" in str(refused("submit"))
    uploads = [request for request in kfp.requests if request[1].endswith("upload_version")]
    assert len(uploads) == 1 + drop_downs


def test_a_version_is_found_on_whatever_page_it_is(kfp, vaeiaf, monkeypatch):
    for revision in ("v1", "v2", "v3", "v4", "v5", "v1", "v5"):
        monkeypatch.setenv("VAEIAF_REVISION", revision)
        assert vaeiaf("submit")[0] == 0
    assert len(kfp.versions) == 5


@pytest.mark.parametrize("making", ["/pipelines", "/pipelines/upload_version", "/experiments"])
def test_what_somebody_else_makes_at_the_same_moment_is_used(kfp, vaeiaf, making):
    kfp.fault = lambda number, method, path: (
        Fault(409, b'{"error_message": "Failed"}', applies=True) if method == "POST" and path.endswith(making) else None
    )
    assert vaeiaf("submit")[0] == 0
    assert [len(kept) for kept in (kfp.pipelines, kfp.versions, kfp.experiments, kfp.runs)] == [1, 1, 1, 1]


@pytest.mark.parametrize("making", ["/pipelines", "/pipelines/upload_version", "/experiments"])
def test_what_is_refused_though_nobody_else_made_it_is_told(kfp, refused, making):
    kfp.fault = lambda number, method, path: Fault(409) if method == "POST" and path.endswith(making) else None
    error = refused("submit")
    assert (error.exit_code, error.status, error.failure.cause) == (1, 409, "injected fault")
    assert kfp.runs == {}


@pytest.mark.parametrize(
    ("parameter", "setting", "value"),
    [
        ("epoch=3", "epoch", "epoch"),
        ("epochs=many", "epochs", "many"),
        ("epochs=1.5", "epochs", 1.5),
        ("preset=best", "preset", "best"),
        ("batch_size=-1", "batch_size", -1),
        ("min_elbo=high", "min_elbo", "high"),
        ("warm_start=yes", "warm_start", "yes"),
        ("settings=[1]", "settings", [1]),
    ],
)
def test_an_invalid_parameter_is_refused_before_anything_is_asked_of_the_server(
    kfp, refused, parameter, setting, value
):
    error = refused("submit", "--param", parameter)
    assert (error.exit_code, error.setting, error.failure.value) == (2, setting, value)
    assert kfp.requests == []


def test_a_parameter_without_a_value_is_refused(kfp, refused):
    error = refused("submit", "--param", "epochs")
    assert (error.exit_code, str(error)) == (2, "--param epochs: expected NAME=VALUE, got 'epochs'")


def test_an_error_is_one_line_and_exit_code_2(kfp, vaeiaf):
    code, out, err = vaeiaf("submit", "--param", "epochs=many")
    assert (code, out) == (2, "")
    assert err.startswith("vaeiaf: epochs: expected ")
    assert err.count("\n") == 1


def test_values_have_the_types_of_their_parameters(kfp, vaeiaf):
    given = ("min_elbo=-1850", "max_regression=2", "warm_start=true", 'settings={"iaf_steps": 0}', "epochs=2.0")
    assert vaeiaf("submit", *(word for text in given for word in ("--param", text)))[0] == 0
    (run,) = kfp.runs.values()
    sent = run["runtime_config"]["parameters"]
    assert {name: type(value) for name, value in sent.items()} == {
        "min_elbo": str,
        "max_regression": float,
        "warm_start": str,
        "settings": dict,
        "epochs": str,
    }


def test_a_command_that_needs_no_server_writes_the_package(kfp, cluster_file, tmp_path, capsys):
    path = tmp_path / "out.yaml"
    assert main(["compile", "--cluster", str(cluster_file), "--output", str(path)]) == 0
    assert "trainer" in path.read_text()
    assert capsys.readouterr().out == f"Written: {path}\n"
    for bad in (tmp_path / "no" / "out.yaml", tmp_path / "out.json"):
        assert main(["compile", "--cluster", str(cluster_file), "--output", str(bad)]) == 2
        assert capsys.readouterr().err == (
            f"vaeiaf: --output: expected the name of a YAML file in a folder that exists, got '{bad}'\n"
        )
    assert kfp.requests == []


def test_what_tensorflow_says_of_the_machine_is_not_shown(kfp, cluster_file, monkeypatch, tmp_path, capfd):
    def noisy(path, cluster):
        os.write(2, b"I0000 port.cc:153] oneDNN custom operations are on")
        raise UserError("the compiler has an objection")

    monkeypatch.setitem(sys.modules, "kubeflow.spec.compile", types.SimpleNamespace(compile_to=noisy))
    for command in (("submit", "--host", kfp.host), ("compile", "--output", str(tmp_path / "out.yaml"))):
        assert main([*command, "--cluster", str(cluster_file)]) == 2
        assert capfd.readouterr().err == "vaeiaf: the compiler has an objection\n"
    assert kfp.versions == {}
