"""The emulator describes a run as a real Kubeflow Pipelines 2.17 did."""

import collections
import json
import pathlib

import kfp_argo
import pytest

DATA = pathlib.Path(__file__).parents[1] / "data"
LOST = {"pushed-after-deleted-pod": {"trainer": [kfp_argo.LOST]}, "refused": {}, "bad-data-set": {}}


def recording(name):
    """What Kubeflow answered about a run."""
    return json.loads((DATA / f"{name}.json").read_text())


def workflow(nodes):
    return next(node["displayName"] for node in nodes if "boundaryID" not in node and node["type"] == "Retry")


def told(nodes):
    """What Argo's record says, without ids and times."""
    names, graph = {node["id"]: node["displayName"] for node in nodes}, workflow(nodes)
    rows = [
        [node["displayName"], node["type"], node["phase"], names.get(node.get("boundaryID"), ""), node.get("message")]
        for node in nodes
    ]
    return collections.Counter(json.dumps(row).replace(graph, "GRAPH") for row in rows)


def listed(tasks, graph):
    """What Kubeflow's list of tasks says, without times."""
    return collections.Counter((task["display_name"].replace(graph, "GRAPH"), task.get("state")) for task in tasks)


@pytest.mark.parametrize("name", LOST)
def test_nodes_and_tasks_are_those_of_a_recorded_run(name):
    real = recording(name)
    drivers = [task["display_name"] for task in real["tasks"] if task["display_name"].endswith("-driver")]
    names = [driver.removesuffix("-driver") for driver in drivers if driver != "root-driver"]
    of_task = {task["display_name"]: task.get("state") for task in real["tasks"]}
    boundaries = {node["id"]: node["displayName"].partition("(")[0] for node in real["nodes"]}
    messages = {
        boundaries[node["boundaryID"]]: [node["message"]]
        for node in real["nodes"]
        if node["type"] == "Pod" and node["phase"] == "Failed"
    }
    nodes = kfp_argo.nodes(real["state"], {task: of_task[task] for task in names}, {**messages, **LOST[name]})
    assert told(nodes) == told(real["nodes"])
    assert listed(kfp_argo.tasks(nodes), kfp_argo.WORKFLOW) == listed(real["tasks"], workflow(real["nodes"]))
