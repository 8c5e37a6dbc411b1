"""What a pipeline has to know about a cluster: one validated `cluster.yaml`. See the example beside this file."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from kubeflow.spec import cluster_checks as check
from kubeflow.spec.cluster_checks import ClusterError
from trainer.errors import UserError

DATABASES = ("mysql", "sqlite")  # PostgreSQL fails at texts with a backslash, by a mistake in ML Metadata 1.21


@dataclasses.dataclass(frozen=True)
class Volume:
    """The PersistentVolumeClaim that every pod mounts: pipeline root, checkpoints, data sets."""

    claim: str
    path: str = "/mnt/vaeiaf"  # where it is mounted

    def __post_init__(self) -> None:
        check.match("claim", check.NAME, "a name of Kubernetes", self.claim)
        check.mount_path("path", self.path)


@dataclasses.dataclass(frozen=True)
class Database:
    """Where ML Metadata keeps the lineage; not Kubeflow's own service, which is being removed."""

    kind: str = "mysql"
    host: str = "vaeiaf-mlmd"
    port: int = 3306
    name: str = "vaeiaf"
    user: str = "vaeiaf"
    secret: str = "vaeiaf-mlmd"  # a Secret with the key `password`
    wait_seconds: int = 900  # that a pod waits for it to answer

    def __post_init__(self) -> None:
        if self.kind not in DATABASES:
            raise ClusterError("kind", f"one of {', '.join(DATABASES)}", self.kind)
        check.match("host", r"[\w.:-]+", "the name or address of a host", self.host)
        check.port("port", self.port)
        for setting in ("name", "user"):
            check.match(setting, r"\S+", "a name", getattr(self, setting))
        check.match("secret", check.NAME, "a name of Kubernetes", self.secret)
        check.above("wait_seconds", -1, self.wait_seconds)


@dataclasses.dataclass(frozen=True)
class Pod:
    """What a pod asks for. Requests are limits too: a training that is throttled or evicted helps nobody."""

    cpu: str = "1"
    memory: str = "4Gi"
    accelerator: str = ""  # resource name, as nvidia.com/gpu or google.com/tpu
    accelerators: int = 0
    image: str = ""  # empty: the pipeline's
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check.match("cpu", check.CPU, "a number of processors, as 2 or 500m", self.cpu)
        check.match("memory", check.MEMORY, "an amount of memory, as 4Gi", self.memory)
        check.match("accelerator", f"({check.RESOURCE})?", "a resource, as nvidia.com/gpu", self.accelerator)
        check.match("image", r"\S*", "the name of a container image", self.image)
        if bool(self.accelerator) != (self.accelerators > 0):
            raise ClusterError(
                "accelerator",
                "a resource name and accelerators above 0, or neither",
                (self.accelerator, self.accelerators),
            )
        for toleration in self.tolerations:
            check.toleration("tolerations", toleration)


@dataclasses.dataclass(frozen=True)
class Retries:
    """Of a node that failed."""

    count: int = 2
    seconds: int = 30  # before the first
    factor: int = 2  # times as long before each one more; Argo knows no fractions
    within_seconds: int = 7 * 24 * 3600  # since the first try began; then a later one is stopped, and none begins

    def __post_init__(self) -> None:
        check.above("count", -1, self.count)
        check.above("seconds", -1, self.seconds)
        check.above("factor", 0, self.factor)
        if self.within_seconds < self.seconds:
            raise ClusterError("within_seconds", f"no less than seconds, {self.seconds}", self.within_seconds)


@dataclasses.dataclass(frozen=True)
class Workers:
    """The pods of a training by more than one worker."""

    pod: Pod = dataclasses.field(default_factory=lambda: Pod(cpu="4", memory="8Gi"))
    port: int = 2222
    start_seconds: int = 900  # until all have started; nodes may have to be added first
    deadline_seconds: int = 7 * 24 * 3600  # of the whole training, over all launchers that follow it
    ttl_seconds: int = 3600  # that a Job that ended without its launcher stays; a launcher deletes its own
    restarts: int = 3  # of the set, when one of its pods is lost, without a new checkpoint in between

    def __post_init__(self) -> None:
        check.port("port", self.port)
        for setting in ("start_seconds", "deadline_seconds"):
            check.above(setting, 0, getattr(self, setting))
        for setting in ("ttl_seconds", "restarts"):
            check.above(setting, -1, getattr(self, setting))


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All of it. `from_dict` undoes `to_dict`."""

    image: str
    namespace: str
    volume: Volume
    database: Database = dataclasses.field(default_factory=Database)
    pod: Pod = dataclasses.field(default_factory=Pod)  # of a node that is not in `nodes`
    nodes: Mapping[str, Pod] = dataclasses.field(default_factory=dict)  # by the name of the TFX node
    retries: Retries = dataclasses.field(default_factory=Retries)
    workers: Workers = dataclasses.field(default_factory=Workers)
    service_account: str = ""  # as which runs are started; empty: the one that Kubeflow takes
    time_zone: str = "UTC"  # in which Kubeflow's scheduler reads every cron expression

    def __post_init__(self) -> None:
        check.match("image", r"\S+", "the name of a container image", self.image)
        check.match("namespace", check.LABEL, "a name of Kubernetes, without dots", self.namespace)
        check.match("service_account", f"({check.NAME})?", "a name of Kubernetes", self.service_account)
        check.time_zone("time_zone", self.time_zone)
        least, within = self.workers.deadline_seconds, self.retries.within_seconds
        if self.retries.count and within < least:  # else Argo would stop the try that waits for the workers
            raise ClusterError("retries.within_seconds", f"no less than workers.deadline_seconds, {least}", within)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Cluster":
        """From plain YAML or JSON types.

        Raises:
          ClusterError: an unknown, missing or unfit setting.
        """
        return _build(cls, values, "")

    def to_dict(self) -> dict[str, Any]:
        """In JSON types."""
        return dataclasses.asdict(self)


def load_cluster(path: str) -> Cluster:
    """The cluster that the YAML file at `path` describes.

    Raises:
      ClusterError: it cannot be used.
      UserError: it cannot be read, or is no YAML.
    """
    try:
        with open(path) as file:
            values = yaml.safe_load(file)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. Start from kubeflow/spec/cluster.yaml") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    return Cluster.from_dict(values)


def _build(cls: Any, values: Any, path: str) -> Any:
    """The dataclass `cls` from `values`, and so on down its fields; `path` is where in the file that is."""
    if not isinstance(values, Mapping):
        raise ClusterError(path.rstrip(".") or "the file", "settings with names", values)
    hints = get_type_hints(cls)
    for name in values:
        if name not in hints:
            raise ClusterError(f"{path}{name}", f"one of {', '.join(hints)}", name)
    for field in dataclasses.fields(cls):
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and field.name not in values:
            raise ClusterError(f"{path}{field.name}", "a setting", None)
    arguments = {name: _value(hints[name], value, f"{path}{name}") for name, value in values.items()}
    try:
        return cls(**arguments)
    except ClusterError as error:
        raise ClusterError(f"{path}{error.setting}", error.expected, error.got) from None


def _value(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f"{path}.")
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
            raise ClusterError(path, "a list of settings with names", value)
        return tuple(dict(item) for item in value)
    if get_origin(hint) is Mapping:
        if not isinstance(value, Mapping):
            raise ClusterError(path, "settings with names", value)
        return {str(name): _value(get_args(hint)[1], item, f"{path}.{name}") for name, item in value.items()}
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # `cpu: 2` means "2"
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ClusterError(path, {str: "text", int: "a whole number", float: "a number"}[hint], value)
    if hint is float and not math.isfinite(value):
        raise ClusterError(path, "a finite number", value)
    return value
