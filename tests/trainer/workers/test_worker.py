"""A worker ends with a code and a file that say why, imports only what it should, and reaches its peers."""

import json
import signal
import socket
import subprocess
import sys
import threading

import pytest

from trainer.errors import InterruptError, UserError
from trainer.failure import Kind, left
from trainer.settings import Execution, TrainConfig
from trainer.workers import job, launch, worker
from trainer.workers.job import Job, run_job

TINY = TrainConfig(
    hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=1, eval_samples=1, importance_samples=0
)


@pytest.fixture
def error_file(tmp_path, monkeypatch):
    """Where a worker leaves its failure."""
    monkeypatch.setenv(launch.ERROR_FILE, str(tmp_path / "error.json"))
    return str(tmp_path / "error.json")


@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_a_worker_without_its_one_folder_ends_with_2_and_says_why(arguments, error_file, capsys):
    assert worker.main(arguments) == 2
    assert left(error_file).value == len(arguments)
    assert capsys.readouterr().err == f"trainer: {left(error_file)}\n"


def test_a_worker_whose_folder_is_not_there_ends_with_2_and_says_why(tmp_path, error_file):
    assert worker.main([str(tmp_path / "nowhere")]) == 2
    assert left(error_file).value == str(tmp_path / "nowhere/given")


@pytest.mark.parametrize(
    ("error", "code", "kind", "said"),
    [
        (UserError("no", value=3), 2, Kind.BAD_INPUT, "trainer: no\n"),
        (InterruptError(signal.SIGTERM), 143, Kind.STOPPED, "trainer: interrupted by SIGTERM\n"),
        (KeyError("a"), 1, Kind.BUG, "KeyError: 'a'\n"),
    ],
)
def test_however_a_worker_fails_it_leaves_why(error, code, kind, said, error_file, monkeypatch, capsys):
    def fail(_):
        raise error

    monkeypatch.setattr(job, "run_worker", fail)
    assert worker.main(["folder"]) == code
    assert left(error_file).kind == kind
    assert capsys.readouterr().err.endswith(said)


def test_a_worker_whose_job_is_done_leaves_no_failure(error_file, monkeypatch):
    monkeypatch.setattr(job, "run_worker", lambda _: None)
    assert worker.main(["folder"]) == 0
    assert left(error_file) is None


def test_without_a_file_for_it_a_failure_is_only_said(monkeypatch, capsys):
    monkeypatch.delenv(launch.ERROR_FILE, raising=False)
    assert worker.main([]) == 2
    assert capsys.readouterr().err.startswith("trainer: ")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the death of a parent")
def test_a_worker_whose_launcher_is_dead_dies_before_it_does_anything(monkeypatch):
    monkeypatch.setenv(launch.LAUNCHER, "999999999")
    done = subprocess.run([sys.executable, "-m", "trainer.workers.worker"], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert done.stderr == b""


@pytest.fixture
def proxy():
    """The address of a proxy that takes every connection and never answers, and what has connected."""
    connected = []

    def serve():
        while True:
            try:
                connected.append(server.accept())
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", connected
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection, _ in connected:
        connection.close()


CLUSTER = {"chief": ["10.0.0.1:2222"], "worker": ["vaeiaf-1.vaeiaf.models.svc:2222", "[::1]:80", "10.0.0.1:2223"]}
HOSTS = "10.0.0.1,vaeiaf-1.vaeiaf.models.svc,::1"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, HOSTS),
        ({"no_proxy": "example.org"}, f"example.org,{HOSTS}"),
        ({"no_proxy": "example.org", "no_grpc_proxy": "a,b"}, f"a,b,{HOSTS}"),
        ({"no_proxy": "example.org", "no_grpc_proxy": ""}, HOSTS),
    ],
)
def test_grpc_goes_past_a_proxy_to_workers_and_other_traffic_stays_as_it_is(given, expected):
    environment = {"TF_CONFIG": json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 0}}), **given}
    before = dict(environment)
    worker.bypass_proxies(environment)
    assert environment == before | {"no_grpc_proxy": expected}


@pytest.mark.parametrize("config", [None, "", "{", "[1]", "{}", '{"cluster": 3}', '{"cluster": {"worker": [7]}}'])
def test_without_other_workers_nothing_changes(config):
    environment = {"no_proxy": "a"} | ({} if config is None else {"TF_CONFIG": config})
    before = dict(environment)
    worker.bypass_proxies(environment)
    assert environment == before


@pytest.mark.slow
def test_workers_import_nothing_of_the_working_directory_and_reach_each_other_past_any_proxy(
    proxy, tmp_path, make_images, monkeypatch
):
    address, connected = proxy
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, address)
        monkeypatch.setenv(name.upper(), address)
    monkeypatch.setenv("no_proxy", "example.org")
    users = tmp_path / "users"
    files = ["trainer/__init__.py", "trainer/workers/__init__.py", "trainer/workers/worker.py"]
    for name in (*files, "json.py", "keras.py", "numpy.py"):
        (users / name).parent.mkdir(parents=True, exist_ok=True)
        (users / name).write_text("raise SystemExit('a file of the user')")
    monkeypatch.chdir(users)
    monkeypatch.setenv("PYTHONPATH", ".")
    images = make_images(48), make_images(10, seed=1)
    two = Job(TINY, str(tmp_path / "work"), str(tmp_path / "state"), execution=Execution(workers=2))
    assert run_job(two, *images, launch.launch_local).latent_size == 2
    assert sorted(path.name for path in users.iterdir()) == ["json.py", "keras.py", "numpy.py", "trainer"]
    assert not connected
