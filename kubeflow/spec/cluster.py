"""What the pipeline needs to know about a cluster: the settings of `cluster.yaml`."""

import dataclasses
import zoneinfo
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import BeforeValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from trainer.schema import Needs, Place, Setting, SettingError, nested, table
from trainer.storage.folders import name_fault

# As KFP's compiler takes them, which knows less than Kubernetes.
CPU, MEMORY = r"(\d*\.)?\d+m?", r"\d+([KMGTPE]i?)?"
LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # name of a namespace
NAME = rf"{LABEL}(\.{LABEL})*"  # of another object of Kubernetes
RESOURCE = rf"{NAME}/[A-Za-z0-9]([-\w.]{{0,61}}[A-Za-z0-9])?"
SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")
NEEDED = (*SYSTEM, "/opt/vaeiaf", "/opt/venv", "/home/vaeiaf", "/tmp", "/kfp-launcher", "/gcs", "/minio", "/s3")
WEEK = 7 * 24 * 3600  # seconds

SERVER = Needs("kind mysql", lambda database: database.kind == "mysql")
RETRIED = Needs("retries.count", lambda retries: retries.count > 0)


def _text(value: Any) -> Any:
    """`cpu: 2` means "2"."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _setting(help: str, unit: str = "", **rest: Any) -> Setting:  # noqa: A002
    return Setting(help, unit, places=Place.CLUSTER, **rest)


def _matches(pattern: str) -> Any:
    return Field(pattern=f"^({pattern})$", max_length=253)


TOLERATIONS = (
    "a list of key, operator (Exists or Equal), value, effect (NoSchedule, PreferNoSchedule or NoExecute), "
    "tolerationSeconds"
)
TEXT = BeforeValidator(_text)
Text = Annotated[str, TEXT]
Count = Annotated[int, Ge(0)]
Port = Annotated[int, Gt(0), Lt(65536)]


@table
class Volume:
    """The PersistentVolumeClaim that every pod mounts: pipeline root, checkpoints, data sets."""

    claim: Annotated[str, _matches(NAME), TEXT, _setting("name of a ReadWriteMany claim", valid="a Kubernetes name")]
    path: Annotated[
        str,
        _matches(r"(/[^/:]+)+"),
        _setting("where it is mounted", "folder", valid="an absolute path, such as /mnt/vaeiaf"),
    ] = "/mnt/vaeiaf"

    def __post_init__(self) -> None:
        if expected := name_fault(self.path):
            raise SettingError("path", expected, self.path)
        if {".", ".."} & set(self.path.split("/")):
            raise SettingError("path", "an absolute path, such as /mnt/vaeiaf", self.path)
        if any(_within(need, self.path) for need in NEEDED) or any(_within(self.path, system) for system in SYSTEM):
            raise SettingError("path", "a folder that hides nothing of the image, such as /mnt/vaeiaf", self.path)


@table
class Database:
    """Where ML Metadata keeps the lineage; not Kubeflow's own service, which is being removed."""

    kind: Annotated[
        # PostgreSQL fails at texts with a backslash, by a mistake in ML Metadata 1.21.
        Literal["mysql", "sqlite"],
        _setting("mysql: MySQL or MariaDB; sqlite: a file on the volume, for a local disk and no NFS"),
    ] = "mysql"
    host: Annotated[
        str, _matches(r"[\w.:-]+"), TEXT, _setting("of the server", needs=SERVER, valid="the name or address of a host")
    ] = "vaeiaf-mlmd"
    port: Annotated[Port, _setting("of the server", needs=SERVER)] = 3306
    name: Annotated[str, _matches(r"\S+"), TEXT, _setting("of the database", needs=SERVER, valid="a name")] = "vaeiaf"
    user: Annotated[str, _matches(r"\S+"), TEXT, _setting("that connects", needs=SERVER, valid="a name")] = "vaeiaf"
    secret: Annotated[
        str, _matches(NAME), TEXT, _setting("Secret with the key `password`", needs=SERVER, valid="a Kubernetes name")
    ] = "vaeiaf-mlmd"
    wait_seconds: Annotated[Count, _setting("that a node waits for an absent database", "seconds")] = 900


@with_config(ConfigDict(extra="forbid"))
class Toleration(TypedDict, total=False):
    """A toleration as Kubernetes writes it."""

    key: str
    operator: Literal["Exists", "Equal"]
    value: str
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    tolerationSeconds: int


@table
class PodSettings:
    """What a pod asks for. Requests are limits too."""

    cpu: Annotated[str, _matches(CPU), TEXT, _setting("request and limit", valid="CPUs, such as 2 or 500m")] = "1"
    memory: Annotated[
        str, _matches(MEMORY), TEXT, _setting("request and limit", "bytes", valid="memory, such as 4Gi")
    ] = "4Gi"
    accelerator: Annotated[
        str,
        _matches(f"({RESOURCE})?"),
        _setting("resource name of the accelerators", valid="a resource, such as nvidia.com/gpu or google.com/tpu"),
    ] = ""
    accelerators: Annotated[Count, _setting("of that resource")] = 0
    image: Annotated[
        str, _matches(r"\S*"), _setting("container image; empty: the pipeline's", valid="the name of a container image")
    ] = ""
    node_selector: Annotated[dict[str, Text], _setting("labels that a node must have")] = Field(default_factory=dict)
    tolerations: Annotated[list[Toleration], _setting("taints that the pod tolerates", valid=TOLERATIONS)] = Field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        if bool(self.accelerator) != (self.accelerators > 0):
            raise SettingError(
                "accelerator", "a resource and accelerators above 0, or neither", [self.accelerator, self.accelerators]
            )


@table
class Retries:
    """Of a node that failed."""

    count: Annotated[Count, _setting("after a failure; bad input is never retried", "retries")] = 2
    seconds: Annotated[Count, _setting("before the first retry", "seconds", needs=RETRIED)] = 30
    factor: Annotated[
        int, Ge(1), _setting("times as long before each further retry; Argo takes no fractions", needs=RETRIED)
    ] = 2
    within_seconds: Annotated[
        Count, _setting("from the first attempt; a later one is stopped, and none begins", "seconds", needs=RETRIED)
    ] = WEEK

    def __post_init__(self) -> None:
        if self.within_seconds < self.seconds:
            raise SettingError("within_seconds", f"no less than seconds, {self.seconds}", self.within_seconds)


@table
class Workers:
    """The pods of a training with the run parameter `workers` above 1."""

    pod: Annotated[PodSettings, nested(PodSettings)] = Field(default_factory=lambda: PodSettings(cpu="4", memory="8Gi"))
    port: Annotated[Port, _setting("on which workers listen for each other")] = 2222
    start_seconds: Annotated[
        int, Ge(1), _setting("until all have started; the cluster may have to add machines", "seconds")
    ] = 900
    deadline_seconds: Annotated[int, Ge(1), _setting("of the whole training, over all restarts", "seconds")] = WEEK
    ttl_seconds: Annotated[
        Count, _setting("that a Job stays which ended without its Trainer; a Trainer deletes its own", "seconds")
    ] = 3600
    restarts: Annotated[
        Count, _setting("of all workers, after one is lost, without a new checkpoint in between", "restarts")
    ] = 3


@table
class Cluster:
    """All of `cluster.yaml`.

    Raises:
      SettingError: an unknown, missing or invalid setting.
    """

    image: Annotated[str, _matches(r"\S+"), _setting("container image", valid="the name of a container image")]
    namespace: Annotated[
        str, _matches(LABEL), TEXT, _setting("of the runs and their pods", valid="a Kubernetes name without dots")
    ]
    volume: Annotated[Volume, nested(Volume)]
    database: Annotated[Database, nested(Database)] = Field(default_factory=Database)
    pod: Annotated[PodSettings, nested(PodSettings)] = Field(default_factory=PodSettings)
    nodes: Annotated[
        dict[str, Annotated[PodSettings, nested(PodSettings)]], _setting("pods of single nodes, by name; each as `pod`")
    ] = Field(default_factory=dict)
    retries: Annotated[Retries, nested(Retries)] = Field(default_factory=Retries)
    workers: Annotated[Workers, nested(Workers)] = Field(default_factory=Workers)
    service_account: Annotated[
        str,
        _matches(f"({NAME})?"),
        TEXT,
        _setting("under which runs start; empty: Kubeflow's, which has more rights", valid="a Kubernetes name"),
    ] = ""
    time_zone: Annotated[
        str, _setting("of every schedule's cron: cronScheduleTimezone in Kubeflow's pipeline-install-config")
    ] = "UTC"

    def __post_init__(self) -> None:
        try:
            zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            expected = "a name of the IANA database, such as Europe/Berlin"
            raise SettingError("time_zone", expected, self.time_zone) from None
        least, within = self.workers.deadline_seconds, self.retries.within_seconds
        if self.retries.count and within < least:  # else Argo would stop the attempt that waits for the workers
            raise SettingError("retries.within_seconds", f"no less than workers.deadline_seconds, {least}", within)

    def to_dict(self) -> dict[str, Any]:
        """In JSON types; the constructor takes them back."""
        return dataclasses.asdict(self)


def _within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")
