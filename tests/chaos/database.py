"""Kills the database server in each phase of each node, run as on a cluster; it returns or stays down.

The phases are those of TFX's launcher: it records the node's start, runs its executor, and records its results.
"""

import importlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos import judge, models, recipes
from tests.chaos.lab import RUN_SECONDS, Lab, Site
from tests.chaos.processes import Run, die_with_parent
from tests.chaos.rows import Result

PHASES = {  # methods of TFX that begin with the phase; Resolvers and Importers have a single one
    "before": [],
    "first record": [
        "launcher.Launcher._prepare_execution",
        "resolver_node_handler.ResolverNodeHandler.run",
        "importer_node_handler.ImporterNodeHandler.run",
    ],
    "executor": ["launcher.Launcher._run_executor"],
    "last record": ["launcher.Launcher._publish_successful_execution"],
}
NODES = (
    *("ImageExampleGen", "LastBlessedModel", "Schema", "StatisticsGen", "UnitsCheck", "StrictExampleValidator"),
    *("Transform", "Trainer", "ServingCheck", "Evaluator", "AtomicPusher", "Report", "Verdict"),
)
PASSWORD = "chaos"
WAIT_SECONDS = 90  # for which nodes wait for the database
AWAY_SECONDS = (1.0, 8.0)  # range of its downtime
GIVE_UP_SECONDS = 5  # wait of a node whose database stays down


class Trial(NamedTuple):
    """A run, node by node."""

    name: str
    phase: str
    stays_away: bool = False  # down until the node has failed

    @property
    def settings(self) -> list[str]:
        """Returns the settings of the run."""
        return ["plain"]


def plan(seed: int) -> Iterator[Trial]:
    """Plans a kill in each phase of each node, and a database that stays down after the Trainer and the Evaluator."""
    del seed  # the trial draws the downtime
    for index, phase in enumerate(PHASES):
        yield Trial(f"database {index}", phase)
    yield Trial(f"database {len(PHASES)}", "last record", stays_away=True)


class Server:
    """A MariaDB server on a free port of this machine."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={folder / 'data'}", "--skip-test-db"]
        done = subprocess.run([*install, *_user()], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout[-500:]} {done.stderr[-500:]}")
        (folder / "init.sql").write_text(
            "CREATE DATABASE IF NOT EXISTS vaeiaf;\n"
            f"CREATE USER IF NOT EXISTS vaeiaf@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('{PASSWORD}');\n"
            "GRANT ALL ON vaeiaf.* TO vaeiaf@'%';\n"
        )
        self.start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts the server and waits for its answer.

        Raises:
          RuntimeError: it does not answer.
        """
        files = [f"--{name}={self.folder / file}" for name, file in (("datadir", "data"), ("socket", "socket"))]
        options = [*files, f"--init-file={self.folder / 'init.sql'}", f"--port={self.port}", "--bind-address=127.0.0.1"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["mariadbd", "--no-defaults", *options, *_user()], stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as peer:
                    if peer.recv(1):
                        return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"MariaDB does not answer: {(self.folder / 'log').read_text()[-500:]}")

    def kill(self) -> None:
        """Kills the server, as the loss of its machine does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def run(lab: Lab, trial: Trial) -> list[Result]:
    """Runs all nodes, kills the server during each, and judges the nodes and the model."""
    scenario = f"database killed, {trial.phase}" + (", stays away" if trial.stays_away else "")
    if shutil.which("mariadbd") is None:
        return [Result(scenario, "all nodes", "LEFT OUT: MariaDB is not installed", trial=trial.name)]
    site, rng = lab.site(), lab.random(trial.name)
    results = []
    with tempfile.TemporaryDirectory(prefix="chaos-mariadb-") as folder, Server(pathlib.Path(folder)) as server:
        for node in NODES:
            result = Result(scenario, node, "", trial=trial.name)
            if trial.stays_away and node not in ("Trainer", "Evaluator"):
                if problems := judge.ending(_finish(site, server, node), [judge.PUSHED]):
                    result.problems += problems
                    results.append(result)
                    break
                continue
            _disturb(site, server, trial, node, rng, result)
            results.append(result)
            if site.runs[-1].code != judge.PUSHED:
                result.problems.append("the run could not be completed")
                break
        else:
            process = site.runs[-1]
            results[-1].problems += judge.served(site.root, process, {}, lab.references["plain"])
            if len(pushed := models.versions(site.root)) != 1:
                results[-1].problems.append(f"expected one version, got {list(pushed)}")
    site.keep(trial.name, results)
    return results


def _disturb(site: Site, server: Server, trial: Trial, node: str, rng: random.Random, result: Result) -> None:
    """Runs a node during which the server is killed, and retries a failed node."""
    wait = GIVE_UP_SECONDS if trial.stays_away else WAIT_SECONDS
    if trial.phase == "before":
        server.kill()
    process = _start(site, server, node, wait, PHASES[trial.phase])
    reached = trial.phase == "before" or _paused(process, site)
    if reached and trial.phase != "before":
        if trial.phase == "executor":
            _go(site)
            process.wait_in_node(rng.random() * 0.9 * site.lab.seconds.get(node, 0.1))
        server.kill()
        _go(site)
    if not trial.stays_away:
        time.sleep(rng.uniform(*AWAY_SECONDS))
        if reached:
            server.start()
        _go(site)
    process.wait(RUN_SECONDS)
    trained = "has the best held-out" in process.console
    allowed = [judge.FAILED] if trial.stays_away else [judge.PUSHED]
    result.problems += judge.ending(process, allowed)
    result.outcome = "waited" if process.code == judge.PUSHED else f"exit code {process.code}"
    if not reached:
        result.outcome = "no such phase"
    if trial.stays_away:
        server.start()
    if process.code != judge.PUSHED:
        again = _finish(site, server, node)
        result.problems += [f"next try: {problem}" for problem in judge.ending(again, [judge.PUSHED])]
        result.outcome += f", then {again.code}"
        if node == "Trainer" and trained and "epoch 1/" in again.console:
            result.problems.append("a finished training was lost")


def _finish(site: Site, server: Server, node: str) -> Run:
    process = _start(site, server, node, WAIT_SECONDS, [])
    process.wait(RUN_SECONDS)
    return process


def _start(site: Site, server: Server, node: str, wait: int, pauses: list[str]) -> Run:
    """The process of a container, which pauses before the methods `pauses` of TFX until `_go`."""
    from kubeflow.spec.parameters import parameters

    cluster = {
        "image": "vaeiaf",
        "namespace": "test",
        "volume": {"claim": "vaeiaf", "path": str(site.root)},
        "database": {"kind": "mysql", "host": "127.0.0.1", "port": server.port, "wait_seconds": wait},
    }
    values = {
        **{name: found.default for name, found in parameters().items()},
        "dataset": recipes.DATASET,
        "preset": "smoke",
        "settings": recipes.RECIPE,
        "max_regression": 1000.0,
        "min_elbo": str(recipes.MIN_ELBO),
        "checkpoint_minutes": 0.0,
        "run_id": "run-1",
    }
    folder = site.folder / "outputs" / node
    told = {"inputs": {"parameterValues": values}, "outputs": {"artifacts": {}, "outputFile": str(folder / "out.json")}}
    flag, go = site.folder / "paused", site.folder / "go"
    flag.unlink(missing_ok=True)
    go.unlink(missing_ok=True)

    def main() -> int:
        from kubeflow import run_node

        os.environ["MLMD_PASSWORD"] = PASSWORD
        for method in pauses:
            _pause_before(method, flag, go)
        return run_node.main(
            [f"--node={node}", f"--cluster={json.dumps(cluster)}", f"--executor-input={json.dumps(told)}"]
        )

    return site.start(node, main)


def _pause_before(method: str, flag: pathlib.Path, go: pathlib.Path) -> None:
    """Makes the method `module.Class.name` of TFX's launcher touch `flag` and wait for `go`."""
    module, owner, name = method.split(".")
    where = getattr(importlib.import_module(f"tfx.orchestration.portable.{module}"), owner)
    original = getattr(where, name)

    def paused(*arguments, **named):
        flag.touch()
        while not go.exists():
            time.sleep(0.01)
        return original(*arguments, **named)

    setattr(where, name, paused)


def _paused(process: Run, site: Site) -> bool:
    """Waits for the process to pause; returns False if it ended first."""
    end = time.monotonic() + RUN_SECONDS
    while time.monotonic() < end:
        if (site.folder / "paused").exists():
            return True
        if process.ended():
            return False
        time.sleep(0.01)
    return False


def _go(site: Site) -> None:
    (site.folder / "go").touch()


def _user() -> list[str]:
    """Returns the option without which MariaDB refuses to run as root."""
    return ["--user=root"] if os.getuid() == 0 else []
