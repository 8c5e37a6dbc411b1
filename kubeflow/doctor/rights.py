"""The rights of the service accounts that run the pods, compared with the Roles of our manifests."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import yaml

from kubeflow.doctor.kube import Kube
from kubeflow.spec.cluster import Cluster
from pipeline.doctor.finding import Finding, State

MANIFESTS = pathlib.Path(__file__).parents[1] / "deploy" / "manifests"
OF_KUBEFLOW = ("default-editor", "pipeline-runner")  # accounts of its pods, with profiles and without
APPLY = "Apply the manifests to this namespace: `kubectl apply -k`, see docs/howto/kubeflow.md"


class Right(NamedTuple):
    """A verb of a Role on a resource."""

    role: str
    attributes: Mapping[str, str]  # as a SubjectAccessReview takes them

    def __str__(self) -> str:
        names = [self.attributes[part] for part in ("resource", "subresource", "name") if part in self.attributes]
        return f"{self.attributes['verb']} {'/'.join(names)}"


def rights(kube: Kube, cluster: Cluster) -> Iterator[Finding]:
    """Checks each account as which Kubeflow may run our pods."""
    accounts, wanted = accounts_of(kube, cluster), declared()
    if not wanted:
        remedy = "Run the doctor from a checkout"
        yield Finding("rights", State.UNKNOWN, f"this installation has no {MANIFESTS}, as in an image", remedy)
        return
    if not accounts:
        names = cluster.service_account or " or ".join(OF_KUBEFLOW)
        yield Finding("rights", State.WRONG, f"namespace {kube.namespace} has no service account {names}", APPLY)
    for account in accounts:
        missing = [right for right in wanted if not kube.may(account, right.attributes)]
        if missing:
            roles = " and ".join(sorted({right.role for right in missing}))
            sentence = f"account {account} may not {', '.join(map(str, missing))}"
            yield Finding("rights", State.WRONG, sentence, f"Bind it to the Role {roles}. {APPLY}")
        else:
            yield Finding("rights", State.OK, f"account {account} has the {len(wanted)} rights of a run")


def accounts_of(kube: Kube, cluster: Cluster) -> list[str]:
    """Returns the accounts of a run's pods that exist: that of cluster.yaml, or else Kubeflow's."""
    names = [cluster.service_account] if cluster.service_account else OF_KUBEFLOW
    return [name for name in names if kube.has_account(name)]


def declared() -> list[Right]:
    """Returns the rights that our manifests give to an account."""
    return [
        Right(role["metadata"]["name"], attributes)
        for file in sorted((MANIFESTS / "base").glob("*.yaml"))
        for role in yaml.safe_load_all(file.read_text())
        if role["kind"] == "Role"
        for rule in role["rules"]
        for attributes in _attributes(rule)
    ]


def _attributes(rule: Mapping[str, list[str]]) -> Iterator[dict[str, str]]:
    for group in rule["apiGroups"]:
        for path in rule["resources"]:
            resource, _, subresource = path.partition("/")
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    found = {"group": group, "resource": resource, "subresource": subresource, "verb": verb}
                    yield {key: value for key, value in (found | {"name": name}).items() if value}
