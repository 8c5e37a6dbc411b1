"""The doctor's requests to the Kubernetes API."""

from collections.abc import Iterator, Mapping
from typing import Any

from kubeflow.workers.clock import Clock
from kubeflow.workers.kube_api import Api, Object
from kubeflow.workers.kube_errors import ApiError

PATIENCE_SECONDS = 10.0  # with transient errors of the API
LOG_SECONDS = 60.0  # of silence, which a proxy may cause that reads a long log first


class Kube(Api):
    """The API of one namespace, with what only the doctor asks.

    Raises:
      ApiError: the API refuses, or does not recover in time. Its status is 403 if the asking account lacks a right.
    """

    def __init__(self, client: Any, namespace: str, clock: Clock | None = None) -> None:
        from kubernetes.client import AuthorizationV1Api, VersionApi

        super().__init__(client, namespace, PATIENCE_SECONDS, clock or Clock())
        self._authorization, self._version = AuthorizationV1Api(client), VersionApi(client)

    def version(self) -> tuple[int, int]:
        """Returns the major and the minor version of Kubernetes."""

        def read(**options: Any) -> Any:
            del options["namespace"]
            return self._version.get_code(**options)

        found = self._call("get the version", read)
        return int(found["major"]), int(found["minor"].rstrip("+"))  # some clouds add a plus

    def has_account(self, name: str) -> bool:
        """Returns whether the namespace has this service account."""
        read = self._core.read_namespaced_service_account
        return self._call("get serviceaccounts", read, (404,), name=name) is not None

    def may(self, account: str, attributes: Mapping[str, str]) -> bool:
        """Returns whether the service account has the right that `attributes`, a resource and a verb, describe."""
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"]
        spec = {
            "user": f"system:serviceaccount:{self.namespace}:{account}",
            "groups": groups,
            "resourceAttributes": {"namespace": self.namespace, **attributes},
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": self.namespace},
            "spec": spec,
        }
        create = self._authorization.create_namespaced_local_subject_access_review
        return self._call("create localsubjectaccessreviews", create, body=review)["status"]["allowed"]

    def get_claim(self, name: str) -> Object | None:
        """Returns the PersistentVolumeClaim of that name; None if there is none."""
        read = self._core.read_namespaced_persistent_volume_claim
        return self._call("get persistentvolumeclaims", read, (404,), name=name)

    def get_config_map(self, name: str, namespace: str) -> Mapping[str, str] | None:
        """Returns the data of a ConfigMap in any namespace; None if there is none of that name."""
        read = self._core.read_namespaced_config_map
        found = self._call("get configmaps", read, (404,), name=name, namespace=namespace)
        return found and found.get("data", {})

    def quotas(self) -> list[Object]:
        """Returns the ResourceQuotas of the namespace."""
        return self._call("list resourcequotas", self._core.list_namespaced_resource_quota)["items"]

    def log(self, pod: str) -> Iterator[str]:
        """Yields the lines of the log of a pod that has ended. Tries once, so it raises transient ApiErrors too."""
        read = self._core.read_namespaced_pod_log
        for line in self._stream("get pods/log", read, LOG_SECONDS, name=pod):
            yield line.decode(errors="replace")

    def refusal(self, pod: Object) -> str:
        """Returns why Kubernetes would not admit this pod, without creating it; empty if it would.

        Quotas, limits, Pod Security and the policies of webhooks have their say.
        """
        try:
            self._call("create pods", self._core.create_namespaced_pod, body=pod, dry_run="All")
        except ApiError as error:
            if is_missing_right(error) or not error.failure.cause:
                raise
            return error.failure.cause
        return ""


def is_missing_right(error: ApiError) -> bool:
    """Tells whether the asking account lacks a right. A quota answers with the same status."""
    return error.status == 403 and "cannot" in error.failure.cause
