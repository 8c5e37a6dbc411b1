import datetime
import errno
import ipaddress
import logging
import os
import socket
import subprocess
import sys
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kfp_emulator import Fault

from kubeflow.client.api import LOGIN, ApiError, connect
from kubeflow.client.submit import find_pipeline
from pipeline.cli import main
from trainer.errors import UserError

PAGE = b"<!DOCTYPE html><html><head><title>Dex</title></head><body>Log in to Your Account</body></html>"


FAULTS = [
    (Fault(401), "HOST wants a login to look for the pipeline (401). LOGIN"),
    (
        Fault(403),
        "HOST does not let this account look for the pipeline in namespace team (403): injected fault. Ask its "
        "administrator for the role kubeflow-edit there, or check namespace in cluster.yaml",
    ),
    (
        Fault(404, b"404 page not found", "text/plain"),
        "HOST has no API of Kubeflow Pipelines v2 to look for the pipeline (404). Check that --host has the path too, "
        "as in https://kubeflow.example.com/pipeline",
    ),
    (Fault(404), "HOST refuses to look for the pipeline (404): injected fault"),
    (Fault(409), "HOST refuses to look for the pipeline (409): injected fault"),
    (Fault(400, b'{"error_message": "bad\\nspec"}'), "HOST refuses to look for the pipeline (400): bad spec"),
    (
        Fault(500),
        "HOST failed to look for the pipeline (500): injected fault. Try again; if the error stays, read the log of "
        "its deployment ml-pipeline",
    ),
    (
        Fault(502, b"<html>bad gateway</html>", "text/html"),
        "HOST failed to look for the pipeline (502). Try again; if the error stays, read the log of its deployment "
        "ml-pipeline",
    ),
    (
        Fault(200, PAGE, "text/html; charset=utf-8"),
        "HOST wants a login to look for the pipeline: it answers with a page (text/html; charset=utf-8). LOGIN",
    ),
    (
        Fault(200, b"ok", "text/plain"),
        "HOST wants a login to look for the pipeline: it answers with a page (text/plain). LOGIN",
    ),
    (
        Fault(200, b'{"pipelines": 3}'),
        "HOST was asked to look for the pipeline and gave an unexpected answer: 'int' object is not iterable",
    ),
]


@pytest.mark.parametrize(("fault", "text"), FAULTS, ids=[str(fault.status) for fault, _ in FAULTS])
def test_an_error_is_one_sentence_of_what_where_and_what_to_do(kfp, api, fault, text):
    kfp.fault = lambda *_: fault
    with pytest.raises(ApiError) as error:
        find_pipeline(api)
    assert str(error.value) == text.replace("HOST", kfp.host).replace("LOGIN", LOGIN)
    assert error.value.status == (fault.status if fault.status != 200 else None)
    assert error.value.transient == (fault.status >= 500)
    assert len(kfp.requests) == 1, "without patience nothing is tried again"


def test_an_error_ends_the_command_with_its_sentence(kfp, vaeiaf):
    kfp.fault = lambda *_: Fault(401)
    code, out, err = vaeiaf("submit")
    assert (code, out) == (1, "")
    assert err.startswith(f"vaeiaf: {kfp.host} wants a login")
    assert err.count("\n") == 1


def test_a_host_that_nobody_listens_at_is_told_at_once_and_quietly(kfp, cluster_file, capsys, caplog, clock):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.WARNING):
        assert main(["submit", "--cluster", str(cluster_file), "--host", host]) == 1
    printed = capsys.readouterr()
    assert printed.err == (
        f"vaeiaf: {host} cannot be reached to look for the pipeline: Failed to establish a new connection: "
        f"[Errno {errno.ECONNREFUSED}] Connection refused. Check --host (or KF_PIPELINES_ENDPOINT), and the way to it, "
        "such as kubectl port-forward\n"
    )
    assert (printed.out, clock, warned, caplog.records) == ("", [], [], [])


@pytest.mark.parametrize("host", ["http://nowhere.invalid", "http://a b", "http://[1"])
def test_an_invalid_host_is_named(kfp, host):
    with pytest.raises(ApiError) as error:
        find_pipeline(connect("team", host))
    assert error.value.failure.sentence.startswith(f"{host} ")
    assert "\n" not in str(error.value)


def write_certificate(path):
    """A key and a certificate of 127.0.0.1 that nobody has signed."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + certificate.public_bytes(serialization.Encoding.PEM))


def test_a_certificate_is_trusted_only_with_the_file_that_the_error_asks_for(kfp, tmp_path, monkeypatch):
    write_certificate(tmp_path / "certificate.pem")
    host = kfp.with_certificate(str(tmp_path / "certificate.pem"))
    with pytest.raises(ApiError) as error:
        find_pipeline(connect("team", host))
    assert not error.value.transient
    assert str(error.value) == (
        f"{host} is not trusted to look for the pipeline: self-signed certificate. Set SSL_CERT_FILE to a file with "
        "the certificate of its authority"
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    assert find_pipeline(connect("team", host)) is None


def test_without_a_host_the_ways_to_give_one_are_named(kfp, monkeypatch, tmp_path):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UserError) as error:
        connect("team")
    assert str(error.value) == (
        "the address of Kubeflow Pipelines is unknown. Give --host, or set KF_PIPELINES_ENDPOINT"
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
def test_an_absent_file_is_named(kfp, refused, option):
    error = refused("submit", option, "/nowhere")
    assert (error.exit_code, error.failure.value, kfp.requests) == (2, "/nowhere", [])
    assert str(error) == "/nowhere cannot be read: No such file or directory"


def test_a_namespace_of_another_users_context_is_not_ours(kfp, vaeiaf, tmp_path, monkeypatch):
    (tmp_path / "context.json").write_text('{"namespace": "theirs"}')
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    assert vaeiaf("submit")[0] == 0
    assert next(iter(kfp.experiments.values()))["namespace"] == "team"


def test_help_needs_neither_kfp_nor_tfx():
    code = (
        "import sys; from pipeline.cli import main\n"
        "for command in ('compile', 'submit', 'schedule', 'schema'):\n"
        "    try: main([command, '--help'])\n"
        "    except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'kfp', 'tfx', 'tensorflow', 'kubernetes', 'urllib3'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={**os.environ, "COLUMNS": "100"})
