"""What the tests of manifests share."""

import json
import shutil
import subprocess

import pytest
import yaml

VERSIONS = ("1.28", "1.37")  # of Kubernetes


def kubectl_kustomize(folder):
    """Objects that `kubectl kustomize` makes of the folder; skips without a kubectl that can."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("NOT CHECKED by `kubectl kustomize`: there is no kubectl")
    known = json.loads(subprocess.check_output([kubectl, "version", "--client", "--output", "json"]))
    version = known.get("kustomizeVersion", "v0").lstrip("v")
    if int(version.split(".")[0]) < 5:
        pytest.skip("NOT CHECKED by `kubectl kustomize`: kubectl is older than 1.27")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return list(yaml.safe_load_all(done.stdout))
