"""What the checks need of a cluster. A real one and the emulated one are worlds."""

import abc
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hands import Hands
from ui import Ui

from kubeflow.client.api import Api
from kubeflow.spec.cluster import Cluster

Found = TypeVar("Found")


class World(abc.ABC):
    """A cluster with Kubeflow Pipelines.

    Attributes:
      cluster: the content of cluster.yaml.
      api: Kubeflow Pipelines.
      kube: Kubernetes, in the namespace of the runs.
      ui: Kubeflow's UI.
      small: parameters of a run that pushes a model soon.
      long: those that make its training long enough to disturb it.
      away_seconds: how long the database is taken away.
      patience: seconds for one run.
      lacks: what this world cannot show, with the reason.
    """

    cluster: Cluster
    api: Api
    kube: Hands
    ui: Ui
    small: Mapping[str, Any]
    long: Mapping[str, Any]
    away_seconds: float
    patience: float
    lacks: Mapping[str, str]

    @abc.abstractmethod
    def apply(self) -> None:
        """Applies the manifests, and waits until the volume and the database are ready."""

    @abc.abstractmethod
    def doctor(self) -> tuple[int, str]:
        """Runs `vaeiaf doctor`; returns its exit code and what it prints."""

    @abc.abstractmethod
    def set_database(self, there: bool) -> None:
        """Takes the database away, or brings it back."""

    @abc.abstractmethod
    def close(self) -> None:
        """Removes what this world, and `apply`, made."""

    def pass_time(self, seconds: float) -> None:
        """Lets time pass."""
        time.sleep(seconds)

    def wait(self, what: str, look: Callable[[], Found], seconds: float) -> Found:
        """Returns what `look` finds, once that is true."""
        end = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
            time.sleep(min(2.0, self.away_seconds / 16))
        return found
