import logging
import os
import socket
import subprocess
import sys
import warnings

import pytest
from kfp_emulator import Fault

from pipeline.cli import main

PAGE = b"<!DOCTYPE html><html><head><title>Dex</title></head><body>Log in to Your Account</body></html>"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(401), ["wants a login to look for the pipeline", "(401)", "--token-file"]),
        (Fault(403), ["does not let this account", "namespace team", "(403): injected fault", "kubeflow-edit"]),
        (Fault(404, b"404 page not found", "text/plain"), ["has no API of Kubeflow Pipelines v2", "its path"]),
        (Fault(404), ["(404: injected fault)"]),
        (Fault(409), ["refuses to look for the pipeline (409: injected fault)"]),
        (Fault(400, b'{"error_message": "bad\\nspec"}'), ["(400: bad spec)"]),
        (Fault(500), ["failed to look for the pipeline (500: injected fault)", "ml-pipeline"]),
        (Fault(502, b"<html>bad gateway</html>", "text/html"), ["failed to look for the pipeline (502)"]),
        (Fault(200, PAGE, "text/html; charset=utf-8"), ["wants a login", "it answers with a page (text/html"]),
        (Fault(200, b'{"pipelines": 3}'), ["its answer is not understood"]),
    ],
)
def test_an_error_is_one_sentence_of_what_where_and_what_to_do(kfp, vaeiaf, fault, words):
    kfp.fault = lambda *_: fault
    code, out, err = vaeiaf("submit")
    assert (code, out) == (1, "")
    assert err.startswith("vaeiaf: ")
    assert err.count("\n") == 1
    assert kfp.host in err
    assert "<" not in err
    for word in words:
        assert word in err
    assert len(kfp.requests) == 1, "what cannot be done is not tried again"


def test_a_host_that_nobody_listens_at_is_told_at_once_and_quietly(kfp, cluster_file, capsys, caplog, clock):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.WARNING):
        assert main(["submit", "--cluster", str(cluster_file), "--host", host]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"vaeiaf: {host} cannot be reached to look for the pipeline: ")
    assert "Connection refused" in printed.err
    assert "0x" not in printed.err
    assert (printed.out, printed.err.count("\n"), clock, warned, caplog.records) == ("", 1, [], [], [])


@pytest.mark.parametrize("host", ["http://nowhere.invalid", "http://a b", "http://[1"])
def test_a_host_that_is_none_is_told(kfp, cluster_file, capsys, host):
    assert main(["submit", "--cluster", str(cluster_file), "--host", host]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"vaeiaf: {host} ")
    assert err.count("\n") == 1


def test_no_host_at_all_is_told(kfp, cluster_file, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["submit", "--cluster", str(cluster_file)]) == 2
    assert capsys.readouterr().err == (
        "vaeiaf: no address of Kubeflow Pipelines: give --host, or set KF_PIPELINES_ENDPOINT\n"
    )


def test_the_host_may_be_in_the_environment(kfp, cluster_file, monkeypatch):
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", kfp.host + "/")
    assert main(["submit", "--cluster", str(cluster_file)]) == 0
    assert len(kfp.runs) == 1


def test_who_asks_is_said_by_a_token_which_is_read_anew_each_time(kfp, vaeiaf, tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n")
    kfp.headers = {"Authorization": "Bearer first"}

    def renew(number, method, path):
        if number == 3:
            token.write_text("second\n")
        if number == 4:
            kfp.headers = {"Authorization": "Bearer second"}

    kfp.fault = renew
    assert vaeiaf("submit", "--token-file", str(token))[0] == 0
    assert vaeiaf("submit")[0] == 1


def test_a_pod_has_its_token_where_kfp_looks_for_it(kfp, vaeiaf, tmp_path, monkeypatch):
    (tmp_path / "token").write_text("pods")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    kfp.headers = {"Authorization": "Bearer pods"}
    assert vaeiaf("submit")[0] == 0


def test_a_cookie_is_sent_with_each_request(kfp, vaeiaf, tmp_path):
    (tmp_path / "cookie").write_text("authservice_session=abc\n")
    kfp.headers = {"Cookie": "authservice_session=abc"}
    assert vaeiaf("submit", "--cookie-file", str(tmp_path / "cookie"))[0] == 0


@pytest.mark.parametrize("option", ["--token-file", "--cookie-file"])
def test_a_file_that_is_not_there_is_told(kfp, vaeiaf, option):
    code, _, err = vaeiaf("submit", option, "/nowhere")
    assert (code, err, kfp.requests) == (2, "vaeiaf: /nowhere cannot be read: No such file or directory\n", [])


def test_a_namespace_of_another_users_context_is_not_ours(kfp, vaeiaf, tmp_path, monkeypatch):
    (tmp_path / "context.json").write_text('{"namespace": "theirs"}')
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    assert vaeiaf("submit")[0] == 0
    assert next(iter(kfp.experiments.values()))["namespace"] == "team"


@pytest.mark.parametrize("command", ["compile", "submit", "schedule"])
def test_help_needs_neither_kfp_nor_tfx(command):
    code = (
        "import sys; from pipeline.cli import main\n"
        f"try: main(['{command}', '--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'kfp', 'tfx', 'tensorflow', 'kubernetes', 'urllib3'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={**os.environ, "COLUMNS": "100"})
