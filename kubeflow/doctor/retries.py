"""Which ends of a pod Argo tries again: its default policy, which the retries of `cluster.yaml` inherit."""

from collections.abc import Mapping
from typing import Any

import yaml

from kubeflow.doctor.kube import Kube
from kubeflow.spec.cluster import Cluster
from pipeline.doctor.finding import Finding, State

CONFIG = "workflow-controller-configmap"
KUBEFLOW = "kubeflow"  # the namespace of Kubeflow Pipelines, unless it is installed in that of the runs
DEFAULT = "OnFailure"  # Argo's own, without a setting
LOST = ("OnError", "Always")  # policies that cover a pod that was deleted


def retries(kube: Kube, cluster: Cluster) -> Finding:
    """Checks that a pod that is lost is tried again."""
    if not cluster.retries.count:
        return Finding("retries", State.OK, "cluster.yaml asks for none")
    for namespace in (kube.namespace, KUBEFLOW):
        data = kube.get_config_map(CONFIG, namespace)
        if data is not None:
            return _judged(policy_of(data), namespace)
    remedy = f"Look for the ConfigMap {CONFIG} where Kubeflow's workflow controller runs"
    sentence = f"namespaces {kube.namespace} and {KUBEFLOW} have no ConfigMap {CONFIG}"
    return Finding("retries", State.UNKNOWN, sentence, remedy)


def policy_of(data: Mapping[str, str]) -> str:
    """Returns the retryPolicy of a template that says nothing about it."""
    config = {**_mapping(data.get("config")), **data}  # before Argo 3 all settings were in `config`
    spec = _mapping(_mapping(config.get("workflowDefaults")).get("spec"))
    strategy = _mapping(_mapping(spec.get("templateDefaults")).get("retryStrategy"))
    return strategy.get("retryPolicy") or DEFAULT


def _mapping(found: Any) -> Mapping[str, Any]:
    """Returns a mapping, parsed if it is YAML; empty for anything else."""
    values = yaml.safe_load(found) if isinstance(found, str) else found
    return values if isinstance(values, Mapping) else {}


def _judged(policy: str, namespace: str) -> Finding:
    if policy in LOST:
        return Finding("retries", State.OK, f"Argo tries a lost pod again ({policy})")
    sentence = f"Argo does not try a lost pod again: its default retryPolicy is {policy}"
    remedy = (
        "Set spec.templateDefaults.retryStrategy.retryPolicy to OnError in workflowDefaults of the ConfigMap "
        f"{CONFIG} in namespace {namespace}"
    )
    return Finding("retries", State.WRONG, sentence, remedy)
