"""What a pod has beside its program."""

import pytest

from kubeflow.node import supervisor


@pytest.fixture
def termination_log(tmp_path, monkeypatch):
    """The file that Kubernetes would make, empty, for a pod's message."""
    path = tmp_path / "termination-log"
    path.touch()
    monkeypatch.setattr(supervisor, "TERMINATION_LOG", str(path))
    return path
