"""The compiled pipeline in real containers, against a real database, on KFP's local Docker runner.

Each run builds on the runs before it, like the runs of a schedule.
"""

import concurrent.futures
import hashlib
import json
import re

import docker
import pytest
import yaml
from kube_emulator import Emulator
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.gate import serving
from containers.docker_kubelet import DockerKubelet
from kubeflow.spec.tasks import TASKS
from trainer.exit_codes import DONE

SMALL = {"dataset": "photo_patches", "preset": "smoke", "epochs": "2"}
NODES = {
    *("ImageExampleGen", "StatisticsGen", "Schema", "StrictExampleValidator", "Transform"),
    *("LastBlessedModel", "UnitsCheck", "Trainer", "ServingCheck", "Evaluator", "AtomicPusher", "Report"),
}


@pytest.fixture(scope="module")
def first(run):
    return run(**SMALL)


@pytest.fixture
def store(database, password):
    return open_store(database, password, "vaeiaf")


def open_store(database, password, name):
    """Opens ML Metadata from outside the containers."""
    (network,) = database.attrs["NetworkSettings"]["Networks"].values()
    return MetadataStore(
        mlmd.ConnectionConfig(
            mysql=mlmd.MySQLDatabaseConfig(
                host=network["IPAddress"], port=3306, database=name, user="vaeiaf", password=password
            )
        )
    )


def versions(volume):
    return serving.versions(str(volume / "pushed/vaeiaf-photo-patches"))


def executions(store, run):
    """Returns the state and the node of each execution of a run."""
    return executions_of(store, run.id)


def executions_of(store, run_id):
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    return {node_of(store, execution): execution for execution in store.get_executions_by_context(context.id)}


def node_of(store, execution):
    (node,) = (context for context in store.get_contexts_by_execution(execution.id) if context.type == "node")
    return node.name.split(".")[-1]


def artifacts(store, execution, kind):
    events = store.get_events_by_execution_ids([execution.id])
    return {event.artifact_id for event in events if event.type == kind}


def test_two_runs_at_once_do_not_disturb_each_other(engine, cluster, database, package, network, volume, password):
    """Both find an empty database, create its tables and types, train, and push."""
    root = volume / "two"
    root.mkdir()
    root.chmod(0o777)
    told = cluster.to_dict()
    told["volume"]["path"] += "/two"
    told["database"]["name"] = "vaeiaf_two"
    ir = next(yaml.safe_load_all(package.read_text()))
    small = {
        **SMALL,
        "epochs": "1",
        "settings": {"hidden_size": 32, "iaf_hidden_size": 64},
        "eval_samples": "1",
        "min_elbo": "-1e9",
    }
    seeds = {"one": "1", "other": "2"}

    def node(run_id, task):
        container = ir["deploymentSpec"]["executors"][f"exec-{task}"]["container"]
        arguments = list(container["args"])
        arguments[arguments.index("--cluster") + 1] = json.dumps(told)
        parameters = {**small, "seed": seeds[run_id], "max_regression": 1000.0, "run_id": run_id}
        values = {"inputs": {"parameterValues": parameters}, "outputs": {"outputFile": "/tmp/o"}}
        arguments[arguments.index("--executor-input") + 1] = json.dumps(values)
        process = engine.containers.run(
            container["image"],
            container["command"] + arguments,
            detach=True,
            network=network,
            environment={"MLMD_PASSWORD": password},
            mounts=[docker.types.Mount(cluster.volume.path, str(volume), type="bind")],
        )
        code, console = process.wait()["StatusCode"], process.logs().decode()
        process.remove()
        assert code == DONE, (task, console)

    def whole(run_id):
        for task in TASKS:
            node(run_id, task)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(whole, seeds))
    store = open_store(database, password, "vaeiaf_two")
    for run_id in seeds:
        found = executions_of(store, run_id)
        assert set(found) == NODES
        assert found["Trainer"].last_known_state == mlmd.Execution.COMPLETE
    trained, pushed = weights(root / "artifacts"), weights(root / "pushed")
    assert len(pushed) == len(set(pushed.values())) == 2, "each run pushes a different model"
    assert set(pushed.values()) <= set(trained.values()), "whole, and no mixture"


def weights(folder):
    """Returns a digest of the weights of each exported model in the folder."""
    found = folder.rglob("saved_model.pb")
    files = {path.parent: [*path.parent.glob("variables/variables.data-*")] for path in found}
    return {model: hashlib.sha256(data[0].read_bytes()).hexdigest() for model, data in files.items() if data}


def test_the_first_run_pushes_a_model_and_shows_it(first, volume, store):
    assert not first.failed
    (version,) = versions(volume)
    assert (volume / f"pushed/vaeiaf-photo-patches/{version}/saved_model.pb").exists()
    assert re.search(rf"PUSHED to \S+/pushed/vaeiaf-photo-patches/{version}\b", first.task("gate"))
    assert "epoch 2/2" in first.task("train")
    found = executions(store, first)
    assert set(found) == NODES
    assert {execution.last_known_state for execution in found.values()} == {mlmd.Execution.COMPLETE}
    given = [artifacts(store, found[node], mlmd.Event.OUTPUT) for node in ("ServingCheck", "Evaluator")]
    taken = artifacts(store, found["AtomicPusher"], mlmd.Event.INPUT)
    handed_on = store.get_artifacts_by_id(set.union(*given) & taken)
    assert [a.custom_properties["blessed"].int_value for a in handed_on if "blessed" in a.custom_properties] == [1, 1]


def test_the_lineage_leads_from_the_pushed_model_to_the_images(first, store):
    found = executions(store, first)
    made = {node: artifacts(store, execution, mlmd.Event.OUTPUT) for node, execution in found.items()}
    taken = {node: artifacts(store, execution, mlmd.Event.INPUT) for node, execution in found.items()}
    for before, after in (
        ("ImageExampleGen", "Transform"),
        ("Transform", "Trainer"),
        ("Trainer", "ServingCheck"),
        ("ServingCheck", "Evaluator"),
        ("Trainer", "Evaluator"),
        ("Trainer", "AtomicPusher"),
        ("AtomicPusher", "Report"),
    ):
        assert made[before] & taken[after], (before, after)


def test_the_ui_gets_pages_and_numbers(first):
    for page in ("train/training_page", "gate/report_page"):
        page = (first.outputs / page).read_text()
        assert page.lstrip().lower().startswith("<!doctype html>")
        assert "<script" not in page
    written = json.loads((first.outputs / "gate/executor_output.json").read_text())
    (metrics,) = written["artifacts"]["evaluation_metrics"]["artifacts"]
    elbo = re.search(r"Test-set ELBO (-[\d.]+) nats", first.task("gate")).group(1)
    assert metrics["metadata"]["elbo_nats_per_image"] == pytest.approx(float(elbo), abs=0.01)


def test_the_next_run_takes_from_the_first_what_has_not_changed(run, first, store, volume):
    again = run(**SMALL)
    assert not again.failed
    states = {node: execution.last_known_state for node, execution in executions(store, again).items()}
    assert {node for node, state in states.items() if state == mlmd.Execution.COMPLETE} <= {
        *("Schema", "LastBlessedModel", "UnitsCheck", "Evaluator", "AtomicPusher", "Report")
    }
    assert "UNCHANGED" in again.task("gate")
    assert len(versions(volume)) == 1


def test_a_bound_that_refuses_fails_the_verdict_and_says_why(run, first, volume):
    refused = run(**SMALL, min_elbo="-100")
    assert "gate" in refused.failed
    assert re.search(r"REFUSED: the test-set ELBO -[\d.]+ is below the bound -100.00 nats", refused.task("gate"))
    assert "-100.00" in (refused.outputs / "gate/report_page").read_text()
    assert len(versions(volume)) == 1


def test_a_parameter_that_cannot_be_stops_the_first_task(run):
    stopped = run(**{**SMALL, "preset": "best"})
    assert stopped.failed
    assert "vaeiaf: preset: expected one of" in stopped.console
    assert "Traceback" not in stopped.console


def test_the_trainer_trains_over_two_containers(run, first, engine, network, volume, cluster, store):
    kubelet = DockerKubelet(engine, network, {cluster.volume.claim: volume})
    emulator = Emulator(kubelet, namespace=cluster.namespace, host="0.0.0.0")
    emulator.start()
    try:
        (pool,) = engine.networks.list(names=[network])[0].attrs["IPAM"]["Config"]
        emulator.write_kubeconfig(volume / "kubeconfig", f"http://{pool['Gateway']}:{emulator.url.rsplit(':', 1)[1]}")
        (volume / "kubeconfig").chmod(0o644)
        trained = run(
            **{**SMALL, "seed": "1"},
            workers=2,
            max_regression=1000.0,  # another seed may be worse
            environment={"KUBECONFIG": f"{cluster.volume.path}/kubeconfig"},
        )
    finally:
        emulator.stop()
    assert not trained.failed
    assert len(kubelet.containers) == 2
    assert "epoch 2/2" in trained.task("train")
    assert executions(store, trained)["Trainer"].last_known_state == mlmd.Execution.COMPLETE
    for kind in ("Job", "Pod", "Service"):
        left, _ = emulator.state.list(kind)
        assert not left
