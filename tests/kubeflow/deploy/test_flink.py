"""The manifests of Flink; what Flink does with its settings is not tested here."""

import json
import pathlib
import re
import shutil

import kubernetes_validate
import pytest
import yaml
from documents import REPOSITORY, blocks
from kustomize import VERSIONS, kubectl_kustomize

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.file import load_cluster
from pipeline.beam.arguments import beam_args

MANIFESTS = REPOSITORY / "kubeflow/deploy/manifests"
FLINK = MANIFESTS / "flink"
CLUSTER = load_cluster(str(REPOSITORY / "kubeflow/spec/cluster.yaml"))
RESOURCES = yaml.safe_load((FLINK / "kustomization.yaml").read_text())["resources"]
OBJECTS = [part for name in RESOURCES for part in yaml.safe_load_all((FLINK / name).read_text())]
JOB_MANAGER, TASK_MANAGER = "vaeiaf-flink", "vaeiaf-flink-taskmanager"


def one(kind, name):
    (found,) = [part for part in OBJECTS if (part["kind"], part["metadata"]["name"]) == (kind, name)]
    return found


def containers(name):
    pod = one("Deployment", name)["spec"]["template"]["spec"]
    return {container["name"]: container for container in pod["containers"]}


def ports(name):
    return {port["name"]: port["containerPort"] for it in containers(name).values() for port in it["ports"]}


def properties(container):
    (text,) = [entry["value"] for entry in container["env"] if entry["name"] == "FLINK_PROPERTIES"]
    return yaml.safe_load(text)


def test_every_file_is_a_resource():
    assert {path.name for path in FLINK.iterdir()} == {"kustomization.yaml", *RESOURCES}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("part", OBJECTS, ids=lambda part: f"{part['kind']}/{part['metadata']['name']}")
def test_kubernetes_knows_every_field(part, version):
    kubernetes_validate.validate(part, version, strict=True)


def test_both_managers_have_the_same_settings_and_their_ports():
    settings = properties(containers(JOB_MANAGER)["jobmanager"])
    assert settings == properties(containers(TASK_MANAGER)["taskmanager"])
    assert settings["jobmanager.rpc.address"] == one("Service", JOB_MANAGER)["metadata"]["name"]
    assert settings["blob.server.port"] == ports(JOB_MANAGER)["blob"]
    assert settings["taskmanager.rpc.port"] == ports(TASK_MANAGER)["rpc"]
    assert settings["taskmanager.data.port"] == ports(TASK_MANAGER)["data"]
    assert {port["name"]: port["port"] for port in one("Service", JOB_MANAGER)["spec"]["ports"]} == ports(JOB_MANAGER)


def test_the_workers_have_the_image_and_the_claim_of_runs():
    workers = containers(TASK_MANAGER)["workers"]
    assert workers["image"] == CLUSTER.image
    mounts = {mount["name"]: mount["mountPath"] for mount in workers["volumeMounts"]}
    volumes = one("Deployment", TASK_MANAGER)["spec"]["template"]["spec"]["volumes"]
    (claim,) = [volume for volume in volumes if "persistentVolumeClaim" in volume]
    assert claim["persistentVolumeClaim"]["claimName"] == CLUSTER.volume.claim
    assert mounts[claim["name"]] == CLUSTER.volume.path
    assert f"--service_port={ports(TASK_MANAGER)['workers']}" in workers["command"]


def test_nobody_but_runs_and_flink_reaches_a_port_that_executes_code():
    def open_to(name):
        policy = one("NetworkPolicy", name)["spec"]
        assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        return {
            port["port"]: [json.dumps(peer["podSelector"]) for peer in rule["from"]]
            for rule in policy["ingress"]
            for port in rule["ports"]
        }

    job_manager, task_manager = open_to(JOB_MANAGER), open_to(TASK_MANAGER)
    assert job_manager.keys() == ports(JOB_MANAGER).keys()
    assert [re.findall("workflows.argoproj.io/workflow", peer) for peer in job_manager["rest"]] == [
        ["workflows.argoproj.io/workflow"]
    ]
    assert task_manager.keys() == ports(TASK_MANAGER).keys() - {"workers"}
    for peers in (*job_manager.values(), *task_manager.values()):
        assert "{}" not in peers


@pytest.mark.parametrize("name", [JOB_MANAGER, TASK_MANAGER])
def test_a_pod_has_no_rights_that_it_does_not_need(name):
    pod = one("Deployment", name)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in containers(name).values():
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["limits"].keys() == {"memory"}


def test_the_cluster_yaml_of_the_document_fits_the_manifests():
    (table,) = [
        yaml.safe_load(block.text) for block in blocks(REPOSITORY / "docs/howto/beam.md") if block.language == "yaml"
    ]
    cluster = Cluster(**{**CLUSTER.to_dict(), **table})
    arguments = dict(argument.lstrip("-").partition("=")[::2] for argument in beam_args(cluster.beam.arguments))
    assert arguments["flink_master"] == f"http://{JOB_MANAGER}:{ports(JOB_MANAGER)['rest']}"
    assert arguments["environment_config"] == f"localhost:{ports(TASK_MANAGER)['workers']}"
    assert pathlib.PurePath(arguments["flink_job_server_jar"]).is_relative_to(CLUSTER.volume.path)
    slots = properties(containers(TASK_MANAGER)["taskmanager"])["taskmanager.numberOfTaskSlots"]
    assert int(arguments["parallelism"]) <= slots * one("Deployment", TASK_MANAGER)["spec"]["replicas"]


def test_kubectl_adds_flink_to_the_example(tmp_path):
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    example = tmp_path / "manifests/example"
    (example / "password.env").write_text("password=secret\n")
    kustomization = yaml.safe_load((example / "kustomization.yaml").read_text())
    (image,) = kustomization["images"]
    kustomization |= {"components": ["../flink"], "images": [{**image, "newName": "ours", "newTag": "1"}]}
    (example / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    made = kubectl_kustomize(example)
    names = {(part["kind"], part["metadata"]["name"]): part for part in made}
    for part in OBJECTS:
        assert names[part["kind"], part["metadata"]["name"]]["metadata"]["namespace"] == CLUSTER.namespace
    pod = names["Deployment", TASK_MANAGER]["spec"]["template"]["spec"]
    assert {container["name"]: container["image"] for container in pod["containers"]}["workers"] == "ours:1"
