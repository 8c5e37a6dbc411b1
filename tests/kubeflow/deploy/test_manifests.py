import pathlib
import re
import shutil

import kubernetes_validate
import pytest
import yaml
from kustomize import VERSIONS, kubectl_kustomize

from kubeflow.spec.file import load_cluster

MANIFESTS = pathlib.Path(__file__).parents[3] / "kubeflow" / "deploy" / "manifests"
EXAMPLE = MANIFESTS.parents[1] / "spec" / "cluster.yaml"
CLUSTER = load_cluster(str(EXAMPLE))


def kustomization(folder):
    return yaml.safe_load((MANIFESTS / folder / "kustomization.yaml").read_text())


OBJECTS = [
    part
    for name in kustomization("base")["resources"]
    for part in yaml.safe_load_all((MANIFESTS / "base" / name).read_text())
]
BY_NAME = {(part["kind"], part["metadata"]["name"]): part for part in OBJECTS}
TEMPLATES = {
    part["metadata"]["name"]: part["spec"]["template"] for part in OBJECTS if "template" in part.get("spec", {})
}
KSERVE = yaml.safe_load((MANIFESTS / "kserve/inference_service.yaml").read_text())
PREDICTOR = KSERVE["spec"]["predictor"]
# The fields of serving.kserve.io/v1beta1 in KServe 0.21 that tell where a model is and how it is served.
KSERVE_FIELDS = {
    "modelFormat": dict,
    "runtime": str,
    "runtimeVersion": str,
    "protocolVersion": str,
    "storageUri": str,
    "resources": dict,
}


def identity(part):
    return f"{part['kind']}/{part['metadata']['name']}"


def environment(container):
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def test_every_file_of_the_base_is_a_resource_of_it():
    files = {path.name for path in (MANIFESTS / "base").iterdir()} - {"kustomization.yaml"}
    assert files == set(kustomization("base")["resources"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("part", OBJECTS, ids=identity)
def test_kubernetes_knows_every_field(part, version):
    kubernetes_validate.validate(part, version, strict=True)


def test_the_validation_can_fail():
    part = BY_NAME["Service", "vaeiaf-mlmd"]
    with pytest.raises(kubernetes_validate.ValidationError, match="prots"):
        kubernetes_validate.validate({**part, "spec": {**part["spec"], "prots": []}}, VERSIONS[0], strict=True)


def bound(role):
    binding = BY_NAME["RoleBinding", role]
    assert binding["roleRef"]["name"] == role
    return {subject["name"] for subject in binding["subjects"] if subject["kind"] == "ServiceAccount"}


GROUPS = {"jobs": "batch", "networkpolicies": "networking.k8s.io"}


def test_the_role_of_the_launcher_is_bound_to_those_as_whom_runs_are_started():
    """That its rights are those which the launcher uses is a test of the launcher."""
    for rule in BY_NAME["Role", "vaeiaf-launcher"]["rules"]:
        (resource,) = rule["resources"]
        assert rule["apiGroups"] == [GROUPS.get(resource, "")]
    assert bound("vaeiaf-launcher") == {"vaeiaf", "default-editor", "pipeline-runner"}


def test_the_account_that_cluster_yaml_may_name_is_ours_with_both_roles():
    (name,) = re.findall(r"^# service_account: (\S+)", EXAMPLE.read_text(), re.MULTILINE)
    account = BY_NAME["ServiceAccount", name]
    assert account.get("automountServiceAccountToken", True)  # Argo and Kubeflow ask with its token
    assert bound("vaeiaf-run") == {name} <= bound("vaeiaf-launcher")


def test_our_account_writes_results_alone_and_reads_no_secret_but_the_named():
    rules = {resource: rule for rule in BY_NAME["Role", "vaeiaf-run"]["rules"] for resource in rule["resources"]}
    assert {resource for resource, rule in rules.items() if rule["verbs"] != ["get"]} == {"workflowtaskresults"}
    assert set(rules["workflowtaskresults"]["verbs"]) == {"create", "patch"}
    assert {resource for resource, rule in rules.items() if "resourceNames" in rule} == {"secrets", "configmaps"}


def test_the_volume_is_the_one_that_runs_mount():
    assert BY_NAME["PersistentVolumeClaim", CLUSTER.volume.claim]["spec"]["accessModes"] == ["ReadWriteMany"]
    for name in ("vaeiaf-volume", "vaeiaf-serving"):
        pod = TEMPLATES[name]["spec"]
        assert [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]] == [CLUSTER.volume.claim]
        assert [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]] == [CLUSTER.volume.path]


def test_the_volume_is_made_the_image_s_user_s():
    (command,) = TEMPLATES["vaeiaf-volume"]["spec"]["containers"][0]["command"][2:]
    owner, path = re.match(r"chown (\S+) (\S+);", command).groups()
    assert f"USER {owner}\n" in (MANIFESTS.parent / "Dockerfile").read_text()
    assert path == CLUSTER.volume.path


def test_the_database_in_the_containers_tests_has_the_settings_of_the_cluster_s():
    (container,) = TEMPLATES[CLUSTER.database.host]["spec"]["containers"]
    server = (MANIFESTS.parents[2] / "tests/containers/database.sh").read_text().splitlines()[-1]
    assert container["args"] == ["--innodb-snapshot-isolation=OFF"]
    assert set(container["args"]) <= set(server.split())


def test_the_database_is_the_one_that_runs_look_for():
    database = CLUSTER.database
    assert BY_NAME["Service", database.host]["spec"]["ports"][0]["port"] == database.port
    (container,) = TEMPLATES[database.host]["spec"]["containers"]
    assert environment(container)["MARIADB_DATABASE"] == database.name
    assert environment(container)["MARIADB_USER"] == database.user
    (password,) = (entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry)
    assert password == {"name": database.secret, "key": "password"}
    (generator,) = kustomization("example")["secretGenerator"]
    assert generator["name"] == database.secret
    assert kustomization("example")["generatorOptions"]["disableNameSuffixHash"]


def test_no_password_is_in_the_manifests():
    assert "Secret" not in {part["kind"] for part in OBJECTS}
    assert kustomization("example")["secretGenerator"][0].keys() == {"name", "envs"}


def test_serving_watches_the_folder_of_pushed_models_and_cannot_write():
    pod = TEMPLATES["vaeiaf-serving"]["spec"]
    assert f"--model_base_path={CLUSTER.volume.path}/pushed/vaeiaf-cifar10" in pod["containers"][0]["args"]
    assert pod["containers"][0]["volumeMounts"][0]["readOnly"]


def test_the_inference_service_has_the_fields_of_kserves_schema():
    assert (KSERVE["apiVersion"], KSERVE["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert set(KSERVE["spec"]) == {"predictor"}
    assert set(PREDICTOR) == {"model", "automountServiceAccountToken"}
    assert {name: type(value) for name, value in PREDICTOR["model"].items()} == KSERVE_FIELDS
    assert PREDICTOR["model"]["modelFormat"] == {"name": "tensorflow"}
    assert PREDICTOR["model"]["protocolVersion"] == "v1"
    assert kustomization("kserve")["resources"] == ["inference_service.yaml"]


def test_kserve_serves_as_the_deployment_does():
    (container,) = BY_NAME["Deployment", "vaeiaf-serving"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"tensorflow/serving:{PREDICTOR['model']['runtimeVersion']}"
    options = dict(argument.removeprefix("--").split("=") for argument in container["args"])
    assert KSERVE["metadata"]["name"] == options["model_name"]
    claim, folder = re.fullmatch(r"pvc://([^/]+)/(.+)", PREDICTOR["model"]["storageUri"]).groups()
    assert claim == CLUSTER.volume.claim
    assert f"{CLUSTER.volume.path}/{folder}" == options["model_base_path"]
    assert PREDICTOR["model"]["resources"] == container["resources"]


@pytest.mark.parametrize("part", [part for part in OBJECTS if part["kind"] == "Service"], ids=identity)
def test_a_service_finds_the_pods_of_its_name_and_their_ports(part):
    name = part["metadata"]["name"]
    assert part["spec"]["selector"].items() <= TEMPLATES[name]["metadata"]["labels"].items()
    ports = {port["name"] for port in TEMPLATES[name]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in part["spec"]["ports"]} <= ports


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_pod_has_no_rights_that_it_does_not_need(name):
    pod = TEMPLATES[name]["spec"]
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert name == "vaeiaf-volume" or pod["securityContext"]["runAsNonRoot"] is True


def test_the_example_is_of_the_same_namespace_and_image_as_cluster_yaml():
    example = kustomization("example")
    (transformer,) = map(yaml.safe_load, example["transformers"])
    assert transformer["metadata"]["namespace"] == CLUSTER.namespace
    (image,) = example["images"]
    assert f"{image['newName']}:{image['newTag']}" == CLUSTER.image
    images = {container["image"] for template in TEMPLATES.values() for container in template["spec"]["containers"]}
    assert CLUSTER.image in images


def test_kubectl_makes_of_the_example_what_is_meant(tmp_path):
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    (tmp_path / "manifests/example/password.env").write_text("password=secret\n")
    made = kubectl_kustomize(tmp_path / "manifests/example")
    for part in made:
        kubernetes_validate.validate(part, VERSIONS[1], strict=True)
        assert part["metadata"]["namespace"] == CLUSTER.namespace
    assert {(part["kind"], part["metadata"]["name"]) for part in made} == {*BY_NAME, ("Secret", "vaeiaf-mlmd")}
    # the API refuses a service account without a namespace
    subjects = [subject for part in made if part["kind"] == "RoleBinding" for subject in part["subjects"]]
    assert len(subjects) == 4
    assert {subject["namespace"] for subject in subjects} == {CLUSTER.namespace}
