"""Laws of the launcher of pods: who owns the Job, and in which cluster it runs."""

import pytest
from kube_world import well

from kubeflow.workers.launcher import launch_pods
from trainer.errors import UserError


def launcher_pod(world, **spec):
    """Creates the launcher's pod; returns its uid."""
    pod = {"kind": "Pod", "metadata": {"name": "launcher"}, "spec": spec, "status": {"phase": "Running"}}
    return world.kube.state.create("Pod", pod)["metadata"]["uid"]


@pytest.mark.parametrize("variable", ["POD_NAME", "KFP_POD_NAME"])
def test_the_job_belongs_to_the_pod_of_the_launcher(world, monkeypatch, variable):
    monkeypatch.setenv(variable, "launcher")
    uid = launcher_pod(world)
    world.launch(well)
    (job,) = world.kube.state.created["Job"]
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "launcher", uid)


def test_the_workers_share_the_account_of_the_launchers_pod(world, monkeypatch):
    monkeypatch.setenv("POD_NAME", "launcher")
    launcher_pod(world, serviceAccountName="default-editor", imagePullSecrets=[{"name": "registry"}])
    world.launch(well)
    (job,) = world.kube.state.created["Job"]
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "default-editor"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("uid", [None, "another"])
def test_a_pod_of_another_namespace_is_no_owner(world, monkeypatch, said, uid):
    """Not even if a pod here has its name: Kubernetes would remove the Job at once."""
    monkeypatch.setenv("POD_NAME", "launcher")
    if uid:
        monkeypatch.setenv("POD_UID", uid)
        launcher_pod(world)
    world.launch(well)
    assert "ownerReferences" not in world.kube.state.created["Job"][0]["metadata"]
    assert any(line.startswith("this is no pod of namespace training") for line in said())


def test_the_cluster_of_the_kube_config_is_used(world, monkeypatch, tmp_path):
    path = tmp_path / "config"
    world.kube.write_kubeconfig(path)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    world.scripts = [well]
    launch_pods(world.cluster, clock=world.clock)(world.folder, 2)
    assert world.jobs == 1


def test_a_missing_cluster_is_bad_input(world, monkeypatch, tmp_path):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(UserError) as error:
        launch_pods(world.cluster)(world.folder, 2)
    assert "KUBECONFIG" in error.value.failure.remedy
