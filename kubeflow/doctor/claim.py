"""The claim of the volume that every pod mounts."""

from kubeflow.doctor.kube import Kube
from kubeflow.doctor.rights import APPLY
from kubeflow.spec.cluster import Cluster
from pipeline.doctor.finding import Finding, State

MANY = "ReadWriteMany"


def claim(kube: Kube, cluster: Cluster) -> Finding:
    """Checks that the claim is bound and can be written from several machines."""
    name = cluster.volume.claim
    found = kube.get_claim(name)
    if found is None:
        return Finding("claim", State.WRONG, f"namespace {kube.namespace} has no claim {name}", APPLY)
    spec, phase = found["spec"], found.get("status", {}).get("phase", "Pending")
    kind = spec.get("storageClassName") or "the default storage class"
    if MANY not in spec["accessModes"]:
        modes = ", ".join(spec["accessModes"])
        remedy = f"Make a claim of a storage class that supports {MANY}; a claim cannot be changed"
        return Finding("claim", State.WRONG, f"{name} is {modes}, and pods run on several machines", remedy)
    if phase != "Bound":
        remedy = f"`kubectl describe pvc {name}` says why; the storage class must support {MANY}"
        return Finding("claim", State.WRONG, f"{name} is {phase}: no volume of {kind} is bound to it", remedy)
    size = found["status"].get("capacity", {}).get("storage", "unknown size")
    return Finding("claim", State.OK, f"{name} is bound, {MANY}, {size} of {kind}")
