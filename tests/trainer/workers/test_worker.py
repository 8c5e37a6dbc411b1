import json
import signal
import socket
import subprocess
import sys
import threading

import pytest

from trainer.settings import TrainConfig
from trainer.workers import launch, worker
from trainer.workers.job import Job, run_job

TINY = TrainConfig(hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=1, eval_samples=1)


@pytest.fixture
def train(tmp_path, make_images):
    """Trains on two workers, and returns the model."""
    images = make_images(48), make_images(10, seed=1)
    job = Job(TINY, str(tmp_path / "work"), str(tmp_path / "state"))
    return lambda: run_job(job, *images, 2, launch.launch_local)


@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_a_worker_without_its_one_folder_ends_with_2_and_says_why(arguments, capsys):
    assert worker.main(arguments) == 2
    assert f"expected one argument, the folder of the workers' job, got {len(arguments)}" in capsys.readouterr().err


def test_a_worker_whose_folder_is_not_there_ends_with_2_and_says_why(tmp_path, capsys):
    assert worker.main([str(tmp_path / "nowhere")]) == 2
    assert "every worker has to see the same folder" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has to help")
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


@pytest.mark.slow
def test_workers_reach_each_other_past_any_proxy(train, proxy, monkeypatch):
    address, connected = proxy
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, address)
        monkeypatch.setenv(name.upper(), address)
    monkeypatch.setenv("no_proxy", "example.org")
    assert train().latent_size == 2
    assert not connected


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
@pytest.mark.parametrize("path", ["", "."], ids=["no PYTHONPATH", "a dot in it"])
def test_workers_import_nothing_of_the_working_directory(path, train, tmp_path, monkeypatch):
    here = tmp_path / "here"
    for name in (
        "trainer/__init__.py",
        "trainer/workers/__init__.py",
        "trainer/workers/worker.py",
        "json.py",
        "keras.py",
        "numpy.py",
    ):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("raise SystemExit('a file of the user')")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", path)
    assert train().latent_size == 2
    assert sorted(path.name for path in here.iterdir()) == ["json.py", "keras.py", "numpy.py", "trainer"]
