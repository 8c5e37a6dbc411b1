"""What the doctor's pod does: `python -m kubeflow.doctor.inside CLUSTER` checks the volume and the database.

It leaves its findings, as JSON, where Kubernetes shows them with the pod.
"""

import dataclasses
import json
import os
import shutil
import sys
import tempfile

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.contract import TERMINATION_LOG
from pipeline.doctor.finding import Finding, State
from pipeline.revision import revision
from trainer.errors import ReportedError
from trainer.workers.launch import ERROR_FILE

WAIT_SECONDS = 20  # for a database that starts
MAX_CHARACTERS = 700  # of a sentence; Kubernetes cuts a longer termination message


def main(arguments: list[str] | None = None) -> int:
    """Makes the checks and leaves the findings."""
    (settings,) = arguments or sys.argv[1:]
    cluster = Cluster(**json.loads(settings))
    findings = [volume(cluster), database(cluster)]
    for finding in findings:
        print(finding, flush=True)
    short = [[text[:MAX_CHARACTERS] for text in finding] for finding in findings]
    with open(os.environ.get(ERROR_FILE, TERMINATION_LOG), "w") as file:
        json.dump({"revision": revision(), "findings": short}, file)
    return 0


def volume(cluster: Cluster) -> Finding:
    """Writes a folder to the volume, renames it, reads it and removes it, as a run does."""
    path = cluster.volume.path
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=path) as folder:
            written, renamed = os.path.join(folder, "written"), os.path.join(folder, "renamed")
            os.mkdir(written)
            with open(os.path.join(written, "file"), "w") as file:
                file.write(folder)
                file.flush()
                os.fsync(file.fileno())
            os.rename(written, renamed)
            with open(os.path.join(renamed, "file")) as file:
                if file.read() != folder:
                    raise OSError(0, "what was written is not what is read")
        free = shutil.disk_usage(path).free
    except OSError as error:
        sentence = f"user {os.getuid()} in group {os.getgid()} cannot write {path}: {error.strerror}"
        remedy = f"Give the top folder of claim {cluster.volume.claim} to group 0, as the Job vaeiaf-volume does"
        return Finding("volume", State.WRONG, sentence, remedy)
    return Finding("volume", State.OK, f"{path} is writable, {free / 1e9:.1f} GB free")


def database(cluster: Cluster) -> Finding:
    """Connects to the database of ML Metadata and logs in, as a node does."""
    from kubeflow.node.database import lineage

    found = dataclasses.replace(cluster.database, wait_seconds=min(WAIT_SECONDS, cluster.database.wait_seconds))
    where = "the file on the volume" if found.kind == "sqlite" else f"{found.host}:{found.port}"
    try:
        with lineage(found, cluster.volume.path):
            return Finding("database", State.OK, f"{where} answers, and the login is accepted")
    except ReportedError as error:
        failure = error.failure
        text = str(dataclasses.replace(failure, remedy=""))
        return Finding("database", State.WRONG, text, failure.remedy or "See docs/howto/failed-runs.md")


if __name__ == "__main__":
    sys.exit(main())
