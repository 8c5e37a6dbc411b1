"""The settings of `cluster.yaml`: facts about the cluster that the pipeline runs on."""

import dataclasses
import functools
import pathlib
import re
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from kubeflow.spec.names import (
    KUBERNETES_NAME,
    LABEL,
    MOUNT_PATH,
    NAME,
    Name,
    Text,
    check_mount_path,
    cluster_setting,
    matches,
)
from kubeflow.spec.pod import IMAGE, PodSettings, SecretKey
from kubeflow.spec.tasks import TASKS
from kubeflow.spec.zone import zone
from pipeline.settings import BEAM_NODES, VALID_WEBHOOK, WEBHOOK
from trainer.schema import Needs, SettingError, nested, table

WEEK, DAY = 7 * 24 * 3600, 24 * 3600  # seconds

QUEUE = "kueue.x-k8s.io/queue-name"  # label of a Job

IN_PROCESS = "FnApiRunner"  # of Beam
SERVER = Needs("kind mysql", lambda database: database.kind == "mysql")
RETRIED = Needs("retries.count", lambda retries: retries.count > 0)

Task = Annotated[str, WithJsonSchema({"type": "string", "enum": list(TASKS)})]
SQL_NAME = matches(r"\S+", "a name")
_setting = cluster_setting
_of_server = functools.partial(_setting, needs=SERVER)
_of_retries = functools.partial(_setting, needs=RETRIED)


@table
class Volume:
    """The PersistentVolumeClaim that every pod mounts: pipeline root, checkpoints, data sets."""

    claim: Text = _setting("name of a ReadWriteMany claim", **KUBERNETES_NAME)
    path: str = _setting("where it is mounted", "folder", default="/mnt/vaeiaf", **MOUNT_PATH)

    def __post_init__(self) -> None:
        check_mount_path(self.path)


@table
class Database:
    """The database of ML Metadata: lineage and cache. Kubeflow's own metadata service is not used."""

    # No postgresql: ML Metadata 1.21 writes texts with a backslash to it wrongly.
    kind: Literal["mysql", "sqlite"] = _setting(
        "mysql: MySQL or MariaDB; sqlite: a file on the volume, which must be a local disk and not NFS", default="mysql"
    )
    host: Text = _of_server(
        "host of the server", default="vaeiaf-mlmd", **matches(r"[\w.:-]+", "the name or address of a host")
    )
    port: int = _of_server("port of the server", default=3306, ge=1, le=65535)
    name: Text = _of_server("name of the database", default="vaeiaf", **SQL_NAME)
    user: Text = _of_server("user that connects", default="vaeiaf", **SQL_NAME)
    secret: Text = _of_server("Secret with the key `password`", default="vaeiaf-mlmd", **KUBERNETES_NAME)
    wait_seconds: int = _setting("time that a node waits for an unreachable database", "seconds", default=900, ge=0)


@table
class Retries:
    """Retries of a node whose pod was lost; where Argo's retryPolicy is Always, of a failed node too."""

    count: int = _setting("retries at most; a node that found bad input is not run again", default=2, ge=0)
    seconds: int = _of_retries("pause before the first retry", "seconds", default=30, ge=0)
    factor: int = _of_retries(
        "factor by which the pause grows with each retry; Argo accepts no fractions", default=2, ge=1
    )
    within_seconds: int = _of_retries(
        "time from the start of the first attempt after which the last one is stopped", "seconds", default=WEEK, ge=0
    )

    def __post_init__(self) -> None:
        if self.within_seconds < self.seconds:
            expected = f"at least {self.seconds}, which is retries.seconds"
            raise SettingError("within_seconds", expected, self.within_seconds)


@table
class Workers:
    """The pods of a training with the run parameter `workers` above 1, or with a device that only they have."""

    pod: Annotated[PodSettings, nested(PodSettings)] = Field(default_factory=lambda: PodSettings(cpu="4", memory="8Gi"))
    port: int = _setting("port on which workers listen for each other", default=2222, ge=1, le=65535)
    start_seconds: int = _setting(
        "time until all have started, over all tries to find machines", "seconds", default=900, ge=1
    )
    deadline_seconds: int = _setting(
        "limit of the whole training, over all restarts and queues", "seconds", default=WEEK, ge=1
    )
    ttl_seconds: int = _setting(
        "time that a finished Job stays if its Trainer cannot delete it", "seconds", default=3600, ge=0
    )
    restarts: int = _setting(
        "restarts of all workers, after a lost pod, without a new checkpoint in between", default=3, ge=0
    )
    daily_restarts: int = _setting(
        "restarts of all workers within 24 hours, with or without new checkpoints", default=48, ge=0
    )
    queue: Name | None = _setting(
        "Kueue's LocalQueue for the Job; none: no queue", default=None, valid="a Kubernetes name"
    )
    queue_seconds: int = _setting("time that a Job may wait in a queue", "seconds", default=DAY, ge=1)

    def __post_init__(self) -> None:
        if QUEUE in self.pod.labels:
            raise SettingError(f"pod.labels.{QUEUE}", "the queue in workers.queue", self.pod.labels[QUEUE])


@table
class Beam:
    """The engine of Beam's work: ingestion, statistics and evaluation."""

    runner: Text = _setting(
        "Beam's runner, such as FlinkRunner or PortableRunner; FnApiRunner: the task's own process",
        default=IN_PROCESS,
        **matches(r"[A-Za-z][\w.]*", "the name of a runner of Beam"),
    )
    args: list[Annotated[str, Field(pattern="^--")]] = _setting(
        "arguments of Beam", default_factory=list, valid="texts that start with --, such as --NAME=VALUE"
    )
    nodes: list[Literal[BEAM_NODES]] = _setting(  # type: ignore[valid-type]
        "nodes that run on it",
        default_factory=lambda: list(BEAM_NODES),
        valid=f"a list of names among {', '.join(BEAM_NODES)}",
    )

    def __post_init__(self) -> None:
        for argument in self.args:
            if re.match(r"--runner\b", argument):
                raise SettingError("args", "no --runner", argument, remedy="Use beam.runner")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The runner and its arguments, as Beam takes them."""
        return (*([] if self.runner == IN_PROCESS else [f"--runner={self.runner}"]), *self.args)


@table
class Notify:
    """The webhook that the end of every run is posted to as a CloudEvent."""

    url: str = _setting("address; everybody who can see the pipeline can see it", valid=VALID_WEBHOOK, pattern=WEBHOOK)
    secret: Annotated[SecretKey | None, nested(SecretKey)] = None  # signs what is sent


@table
class Cluster:
    """The settings of a cluster: the content of `cluster.yaml`."""

    image: str = _setting("container image", **matches(r"\S+", IMAGE))
    namespace: Text = _setting(
        "namespace of the runs and their pods", **matches(LABEL, "a Kubernetes name without dots")
    )
    volume: Annotated[Volume, nested(Volume)]
    database: Annotated[Database, nested(Database)] = Field(default_factory=Database)
    pod: Annotated[PodSettings, nested(PodSettings)] = Field(default_factory=PodSettings)
    tasks: dict[Task, Annotated[PodSettings, nested(PodSettings)]] = _setting(
        "pods of single tasks, by name, with the settings of `pod`", default_factory=dict
    )
    retries: Annotated[Retries, nested(Retries)] = Field(default_factory=Retries)
    workers: Annotated[Workers, nested(Workers)] = Field(default_factory=Workers)
    beam: Annotated[Beam, nested(Beam)] = Field(default_factory=Beam)
    notify: Annotated[Notify | None, nested(Notify)] = None
    service_account: Text = _setting(
        "service account of the runs' pods; empty: Kubeflow's own, which has more rights",
        default="",
        **matches(f"({NAME})?", "a Kubernetes name"),
    )
    ui: str = _setting(
        "address of Kubeflow's UI, for the links that commands print; the API's address does not serve it",
        default="",
        **matches(r"(https?://\S+)?", "an address, such as https://kubeflow.example.com/pipeline"),
    )
    time_zone: str = _setting(
        "time zone of all schedules: cronScheduleTimezone in Kubeflow's ConfigMap pipeline-install-config",
        default="UTC",
    )
    drop_downs: bool = _setting(
        "drop-downs for preset and strategy in the form; Kubeflow Pipelines before 2.16 refuses such a pipeline",
        default=True,
    )

    def __post_init__(self) -> None:
        zone("time_zone", self.time_zone)
        least, within = self.workers.deadline_seconds, self.retries.within_seconds
        if self.retries.count and within < least:  # Argo would stop the attempt that waits for the workers
            expected = f"at least {least}, which is workers.deadline_seconds"
            raise SettingError("retries.within_seconds", expected, within)
        pods = {"pod": self.pod} | {f"tasks.{name}": pod for name, pod in self.tasks.items()}
        for place, pod in pods.items():
            if pod.priority_class is not None:
                expected = "none, because Kubeflow Pipelines cannot give it to a task, only workers.pod may have it"
                raise SettingError(f"{place}.priority_class", expected, pod.priority_class, remedy="Remove it")
        for place, pod in (pods | {"workers.pod": self.workers.pod}).items():
            for volume in pod.volumes:
                hides = pathlib.PurePath(self.volume.path).is_relative_to(volume.path)
                if hides or volume.name == self.volume.claim:
                    expected = "a volume that neither hides nor names the shared one"
                    raise SettingError(f"{place}.volumes", expected, dataclasses.asdict(volume))

    def to_dict(self) -> dict[str, Any]:
        """In JSON types; the constructor takes them back."""
        return dataclasses.asdict(self)
