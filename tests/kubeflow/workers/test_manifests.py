"""Laws of the manifests: Kubernetes accepts them, and the workers find each other and nothing else."""

import dataclasses
import json
import pathlib
import re

import kubernetes_validate
import pytest
import yaml

from kubeflow.spec.cluster import QUEUE, Cluster, Volume, Workers
from kubeflow.spec.pod import ExtraVolume, PodSettings, SecretKey
from kubeflow.workers.job import FINGERPRINT
from kubeflow.workers.manifests import job_manifest, job_name, policy_manifest, service_manifest
from kubeflow.workers.owner import Owner
from trainer.errors import UserError
from trainer.workers.launch import SAVE_SECONDS

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FOLDER = "/mnt/vaeiaf/training/0123456789abcdef/job"
OWNER = Owner("vaeiaf-trainer-x7k2p", "6f1c1a52-0d6f-4a53-b0d5-3f9a7a3b8c11", "default-editor", ("registry",))
JOB_UID = "0e0b6a52-77a2-4b0a-8a3e-5d2c9f6f4a10"
PLAIN = Cluster(image="vaeiaf:0.1.0", namespace="training", volume=Volume(claim="vaeiaf"))
TPU = dataclasses.replace(
    PLAIN,
    workers=Workers(
        pod=PodSettings(
            cpu="8",
            memory="16Gi",
            accelerator="google.com/tpu",
            accelerators=4,
            image="vaeiaf-tpu:0.1.0",
            node_selector={"cloud.google.com/gke-tpu-topology": "2x4"},
            tolerations=[{"key": "google.com/tpu", "operator": "Exists", "effect": "NoSchedule"}],
        ),
        port=8470,
        ttl_seconds=0,
    ),
)


FULL = dataclasses.replace(
    PLAIN,
    workers=Workers(
        pod=PodSettings(
            cpu_limit="2500m",
            memory_limit="8Gi",
            env={"HTTPS_PROXY": "http://proxy:3128"},
            env_from_secret={"TOKEN": SecretKey(name="hub", key="token")},
            labels={"team": "vision"},
            annotations={"example.com/cost": "4711"},
            pull_secrets=["mirror", "registry"],
            priority_class="high",
            volumes=[
                ExtraVolume(claim="sets", path="/data/sets"),
                ExtraVolume(secret="keys", path="/data/keys"),
                ExtraVolume(config_map="authorities", path="/data/ca"),
            ],
        ),
        queue="gpus",
    ),
)


def parts(cluster, workers=2, owner=OWNER, folder=FOLDER):
    name = job_name(folder)
    job = job_manifest(cluster, name, folder, workers, owner)
    return [job, service_manifest(cluster, name, JOB_UID), policy_manifest(cluster, name, JOB_UID)]


@pytest.mark.parametrize(
    ("name", "cluster", "owner"), [("workers", PLAIN, OWNER), ("workers-tpu", TPU, None), ("workers-full", FULL, OWNER)]
)
def test_the_manifests_are_those_in_the_golden_file(name, cluster, owner):
    """To regenerate a golden file, delete it and run this test."""
    path = GOLDEN / f"{name}.yaml"
    found = parts(cluster, owner=owner)
    if not path.exists():
        path.write_text(yaml.safe_dump_all(found, sort_keys=False, width=120))
        pytest.fail(f"{path} was not there; it is now: look at it")
    assert list(yaml.safe_load_all(path.read_text())) == found


@pytest.mark.parametrize("version", ["1.25", "1.31", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("cluster", [PLAIN, TPU, FULL])
@pytest.mark.parametrize("owner", [OWNER, None])
def test_old_and_new_kubernetes_accept_them(version, cluster, owner):
    for manifest in parts(cluster, owner=owner):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_check_can_fail():
    job, *_ = parts(PLAIN)
    job["spec"]["template"]["spec"]["containers"][0]["enviroment"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.31", strict=True)


def environments(job):
    """Yields the variables of each pod, expanded as Kubernetes does: $(NAME) is a variable that came before."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    for index in range(job["spec"]["completions"]):
        found = {}
        for variable in container["env"]:
            value = variable.get("value", str(index))
            found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], value)  # noqa: B023
        yield found


@pytest.mark.parametrize("workers", [1, 2, 13])
def test_every_worker_knows_all_and_its_own_place(workers):
    job, service, _ = parts(PLAIN, workers)
    configs = [json.loads(environment["TF_CONFIG"]) for environment in environments(job)]
    assert [config["task"] for config in configs] == [{"type": "worker", "index": i} for i in range(workers)]
    (cluster,) = {json.dumps(config["cluster"]) for config in configs}
    addresses = json.loads(cluster)["worker"]
    assert len(set(addresses)) == workers == job["spec"]["completions"] == job["spec"]["parallelism"]
    # Kubernetes names them <hostname of the pod>.<its subdomain>.<namespace>.svc
    subdomain = job["spec"]["template"]["spec"]["subdomain"]
    assert subdomain == service["metadata"]["name"]
    hosts = [f"{job['metadata']['name']}-{index}.{subdomain}.training.svc:2222" for index in range(workers)]
    assert addresses == hosts


def test_the_index_is_there_before_the_variable_that_refers_to_it():
    job, *_ = parts(PLAIN)
    names = [variable["name"] for variable in job["spec"]["template"]["spec"]["containers"][0]["env"]]
    assert names.index("JOB_COMPLETION_INDEX") < names.index("TF_CONFIG")


def test_the_service_selects_only_the_pods_of_its_job():
    job, service, _ = parts(PLAIN)
    _, other, _ = parts(PLAIN, folder="/mnt/other")
    labels = job["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= labels
    assert not other["spec"]["selector"].items() <= labels
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["clusterIP"] == "None"


def test_only_pods_of_the_same_job_reach_its_pods():
    job, _, policy = parts(PLAIN)
    other, _, _ = parts(PLAIN, folder="/mnt/other")
    (rule,) = policy["spec"]["ingress"]
    (source,) = rule["from"]
    assert policy["spec"]["podSelector"] == source["podSelector"]
    assert source.keys() == {"podSelector"}  # so of the same namespace
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    selected = source["podSelector"]["matchLabels"].items()
    assert selected <= job["spec"]["template"]["metadata"]["labels"].items()
    assert not selected <= other["spec"]["template"]["metadata"]["labels"].items()


def test_names_fit_for_any_folder():
    for folder in (FOLDER, "/" + "deep/" * 100, "/Über ÄLL/_-"):
        assert re.fullmatch(r"[a-z][-a-z0-9]{,40}[a-z0-9]", job_name(folder))
    assert job_name(FOLDER) == job_name(FOLDER) != job_name("/other")


@pytest.mark.parametrize("name", ["x" * 62, "Upper", "dots.in.it", "7up", "-"])
def test_an_invalid_host_name_is_bad_input(name):
    with pytest.raises(UserError) as error:
        job_manifest(PLAIN, name, FOLDER, 2, None)
    assert error.value.failure.value == f"{name}-1"


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_bad_input(workers):
    with pytest.raises(UserError) as error:
        parts(PLAIN, workers)
    assert error.value.failure.value == workers


def test_the_fingerprint_ignores_only_the_owner_and_the_deadline():
    def fingerprint(*arguments, **options):
        return parts(*arguments, **options)[0]["metadata"]["annotations"][FINGERPRINT]

    assert fingerprint(PLAIN) == fingerprint(PLAIN, owner=None)
    other_deadline = dataclasses.replace(PLAIN, workers=Workers(deadline_seconds=60))
    assert fingerprint(PLAIN) == fingerprint(other_deadline)
    other_image = dataclasses.replace(PLAIN, image="vaeiaf:0.2.0")
    prints = [fingerprint(PLAIN), fingerprint(PLAIN, 3), fingerprint(TPU), fingerprint(other_image)]
    assert len(set(prints)) == 4


def test_nothing_outlives_the_owner_and_no_pod_is_replaced_alone():
    job, service, policy = parts(PLAIN)
    of_job = ["Job", job["metadata"]["name"], JOB_UID]
    for manifest, expected in (job, ["Pod", OWNER.name, OWNER.uid]), (service, of_job), (policy, of_job):
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert [owner["kind"], owner["name"], owner["uid"]] == expected
        assert "blockOwnerDeletion" not in owner  # which needs a right to the owner's finalizers
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_workers_have_time_to_save_and_a_finished_job_is_seen():
    job, *_ = parts(TPU)
    assert job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > SAVE_SECONDS
    assert job["spec"]["ttlSecondsAfterFinished"] >= 60  # though the setting is 0


@pytest.mark.parametrize(("deadline", "first"), [(7 * 24 * 3600, 900), (60, 60)])
def test_a_job_whose_launcher_dies_at_once_ends_soon(deadline, first):
    job, *_ = parts(dataclasses.replace(PLAIN, workers=Workers(deadline_seconds=deadline)))
    assert job["spec"]["activeDeadlineSeconds"] == first


def test_workers_share_the_launchers_account_and_pull_secrets():
    pod = parts(PLAIN)[0]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "default-editor"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    for owner in (None, OWNER._replace(account="", pull_secrets=())):
        pod = parts(PLAIN, owner=owner)[0]["spec"]["template"]["spec"]
        assert not pod.keys() & {"serviceAccountName", "imagePullSecrets"}


def test_a_pod_may_use_more_processors_than_it_requests_but_no_more_memory_or_accelerators():
    (container,) = parts(TPU)[0]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "8", "memory": "16Gi", "google.com/tpu": "4"}
    assert container["resources"]["limits"] == {"memory": "16Gi", "google.com/tpu": "4"}
    assert container["image"] == "vaeiaf-tpu:0.1.0"


def test_limits_may_be_given():
    (container,) = parts(FULL)[0]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "4Gi"}
    assert container["resources"]["limits"] == {"cpu": "2500m", "memory": "8Gi"}


def test_a_worker_gets_the_environment_metadata_and_volumes_of_the_settings():
    job, *_ = parts(FULL)
    template = job["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]
    for environment in environments(job):
        assert environment["HTTPS_PROXY"] == "http://proxy:3128"
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    assert secret in container["env"]
    plain = parts(PLAIN)[0]["spec"]["template"]["metadata"]
    assert template["metadata"] == {
        "labels": {"team": "vision", **plain["labels"]},
        "annotations": {"example.com/cost": "4711", **plain["annotations"]},
    }
    assert pod["priorityClassName"] == "high"
    assert pod["imagePullSecrets"] == [{"name": "mirror"}, {"name": "registry"}]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes[mounts["/data/sets"]]["persistentVolumeClaim"] == {"claimName": "sets"}
    assert volumes[mounts["/data/keys"]]["secret"] == {"secretName": "keys"}
    assert volumes[mounts["/data/ca"]]["configMap"] == {"name": "authorities"}
    assert len(mounts) == len(volumes) == 4


def test_a_job_for_a_queue_is_suspended_and_names_it():
    job, *_ = parts(FULL)
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"][QUEUE] == "gpus"
    assert QUEUE not in job["spec"]["template"]["metadata"]["labels"]
    plain, *_ = parts(PLAIN)
    assert "suspend" not in plain["spec"]
    assert QUEUE not in plain["metadata"]["labels"]


def test_pods_get_no_proxy_and_no_rights():
    template = parts(PLAIN)[0]["spec"]["template"]
    for kind in ("labels", "annotations"):
        assert template["metadata"][kind]["sidecar.istio.io/inject"] == "false"
    assert template["spec"]["automountServiceAccountToken"] is False
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    # The image or the namespace sets the user; a namespace that does refuses any other.
    assert not template["spec"]["securityContext"].keys() & {"runAsUser", "runAsGroup"}
    assert template["spec"]["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
