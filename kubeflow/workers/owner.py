"""The owner of a Job: the pod of the launcher, with which Kubernetes removes it."""

import logging
import os
import socket
from typing import NamedTuple

from kubeflow.workers.kube_api import Api

log = logging.getLogger(__name__)


class Owner(NamedTuple):
    """The launcher's pod, whose service account and pull secrets the workers share."""

    name: str
    uid: str
    account: str
    pull_secrets: tuple[str, ...]


def find_owner(api: Api) -> Owner | None:
    """Returns the pod of this process; None outside the API's namespace, where Kubernetes would remove its Job."""
    name = os.environ.get("POD_NAME") or os.environ.get("KFP_POD_NAME") or socket.gethostname()
    uid = os.environ.get("POD_UID") or os.environ.get("KFP_POD_UID")
    pod = api.get_pod(name)
    if pod and uid in (None, pod["metadata"]["uid"]):
        spec = pod["spec"]
        secrets = tuple(secret["name"] for secret in spec.get("imagePullSecrets") or ())
        return Owner(name, pod["metadata"]["uid"], spec.get("serviceAccountName", ""), secrets)
    log.info("this is no pod of namespace %s, so the workers use its default service account", api.namespace)
    return None
