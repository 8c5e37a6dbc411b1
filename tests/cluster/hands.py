"""What the checks do to a cluster through the Kubernetes API: look at pods, delete them, take the database away."""

from typing import Any

from kubeflow.doctor.kube import Kube


class Hands(Kube):
    """The API of one namespace."""

    def list_objects(self, plural: str, selector: str) -> list[dict[str, Any]]:
        """Returns the pods, jobs or services with these labels."""
        calls = {
            "pods": self._core.list_namespaced_pod,
            "jobs": self._batch.list_namespaced_job,
            "services": self._core.list_namespaced_service,
        }
        return self._call(f"list {plural}", calls[plural], label_selector=selector)["items"]

    def container_log(self, pod: str, container: str) -> str:
        """Returns what a container has printed so far."""
        read = self._core.read_namespaced_pod_log
        lines = self._stream("get pods/log", read, 10.0, name=pod, container=container)
        return b"\n".join(lines).decode(errors="replace")

    def delete_pod(self, name: str) -> None:
        """Deletes a pod, as a drain does."""
        self._call("delete pods", self._core.delete_namespaced_pod, (404,), name=name)

    def scale(self, name: str, replicas: int) -> None:
        """Sets the number of pods of a StatefulSet."""
        from kubernetes.client import AppsV1Api

        patch = AppsV1Api(self.client).patch_namespaced_stateful_set_scale
        self._call("patch statefulsets/scale", patch, name=name, body={"spec": {"replicas": replicas}})

    def ready(self, name: str) -> int:
        """Returns how many pods of a StatefulSet are ready."""
        from kubernetes.client import AppsV1Api

        found = self._call("get statefulsets", AppsV1Api(self.client).read_namespaced_stateful_set, name=name)
        return found["status"].get("readyReplicas", 0)
