"""Runs one command in a pod with the image, the volume and the database of a run, and brings back what it said."""

import json
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kubeflow.doctor.kube import Kube
from kubeflow.doctor.manifest import check_job
from kubeflow.doctor.pod import ended
from kubeflow.doctor.rights import accounts_of
from kubeflow.spec.cluster import Cluster
from kubeflow.workers.pod import Pod
from pipeline.doctor.finding import Finding
from trainer.errors import ReportedError

PROGRAM = ["python", "-P", "-m", "pipeline.cli._inside"]
MARK = "vaeiaf-said: "  # starts the line of the log that holds all that the command said
LINES = 1000  # of the log, in which that line is the last


class Said(NamedTuple):
    """What a command did."""

    code: int  # exit code
    out: str
    err: str


def run_errand(kube: Kube, cluster: Cluster, arguments: Sequence[str]) -> Said:
    """Runs `vaeiaf ARGUMENTS` on the cluster's volume, and removes the pod.

    Raises:
      ReportedError: the pod cannot be started, or says nothing.
      ApiError: Kubernetes refuses, or does not recover in time.
      InterruptError: a signal came; the pod is removed.
    """
    account = next(iter(accounts_of(kube, cluster)), "")
    name = f"vaeiaf-errand-{secrets.token_hex(3)}"
    command = [*PROGRAM, json.dumps(cluster.to_dict(), separators=(",", ":")), *arguments]
    try:
        job = kube.create_job(check_job(cluster, name, account, command))
        assert job, "the name is random"
        end = ended(kube, job)
        if isinstance(end, Finding):
            raise ReportedError(end.sentence, value=name, remedy=end.remedy)
        return _said(kube.log_tail(end.name, LINES), end)
    finally:  # a signal may have come before the answer to the creation
        if left := kube.get_job(name):
            kube.delete_job(left, "Background")


def line_of(said: Said) -> str:
    """Returns the line that tells `said`, the inverse of what this module reads."""
    return MARK + json.dumps(said._asdict())


def _said(lines: Iterable[str], end: Pod) -> Said:
    found: list[Any] = [json.loads(line.removeprefix(MARK)) for line in lines if line.startswith(MARK)]
    if not found:
        what = end.message.strip().splitlines()[-1:] or ["it says nothing"]
        remedy = "Check that image in cluster.yaml is built from this version by make image"
        raise ReportedError(f"the pod {end.end}: {what[0]}", value=end.name, remedy=remedy)
    return Said(**found[-1])
