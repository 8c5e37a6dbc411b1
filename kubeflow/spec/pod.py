"""The settings of a pod in `cluster.yaml`: of tasks, and of the workers of a training."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from kubeflow.spec.contract import VARIABLES
from kubeflow.spec.names import (
    KEY,
    KUBERNETES_NAME,
    MOUNT_PATH,
    RESOURCE,
    VARIABLE,
    WORD,
    Cpu,
    Label,
    Memory,
    Name,
    Text,
    check_mount_path,
    cluster_setting,
    matches,
)
from trainer.schema import SettingError, nested, table

IMAGE = "the name of a container image"
AMOUNT, MEMORY_AMOUNT = "an amount, such as 2 or 500m", "an amount of memory, such as 4Gi"
NO_DOTS = "a Kubernetes name without dots"
KINDS = ("claim", "secret", "config_map")
# Labels and annotations by which this program, Kubeflow, Argo and Kubernetes know their pods.
OWNED = re.compile(
    r"(vaeiaf|batch\.kubernetes\.io|pipelines\.kubeflow\.org|workflows\.argoproj\.io|pipeline)/.*"
    r"|app\.kubernetes\.io/(name|component|instance)|sidecar\.istio\.io/inject|job-name|controller-uid"
)
OWNED_VARIABLES = ("KFP_", "ARGO_")  # starts of the names of Kubeflow's and Argo's variables


@with_config(ConfigDict(extra="forbid", strict=True))
class Toleration(TypedDict, total=False):
    """A toleration as Kubernetes writes it."""

    key: str
    operator: Literal["Exists", "Equal"]
    value: str
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    tolerationSeconds: int


@table
class SecretKey:
    """A value in a Secret of the namespace."""

    name: Text = cluster_setting("name of the Secret", **KUBERNETES_NAME)
    key: Text = cluster_setting("key of the value", **matches(r"[-._a-zA-Z0-9]{1,253}", "a key of a Secret"))


@table
class ExtraVolume:
    """A volume beside the shared one: exactly one of claim, secret and config_map, which gives it its name."""

    # Kubeflow names the volume after its object, and the name of a volume has no dots.
    claim: Label | None = cluster_setting("PersistentVolumeClaim", default=None, valid=NO_DOTS)
    secret: Label | None = cluster_setting("Secret, one file for each key", default=None, valid=NO_DOTS)
    config_map: Label | None = cluster_setting("ConfigMap, one file for each key", default=None, valid=NO_DOTS)
    path: str = cluster_setting("where it is mounted", "folder", **MOUNT_PATH)

    def __post_init__(self) -> None:
        check_mount_path(self.path)
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            given = {kind: getattr(self, kind) for kind in KINDS}
            raise SettingError("claim", f"exactly one of {', '.join(KINDS)}", given)

    @property
    def kind(self) -> str:
        """Which of KINDS it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def name(self) -> str:
        """Name of the object, and of the volume in the pod."""
        return getattr(self, self.kind)


@table
class PodSettings:
    """The resources, image, placement and environment of a pod."""

    cpu: Cpu = cluster_setting("processors that the pod requests", default="1", valid=AMOUNT)
    memory: Memory = cluster_setting("memory that the pod requests", default="4Gi", valid=MEMORY_AMOUNT)
    cpu_limit: Cpu | None = cluster_setting(
        "processors that it may use at most; none: no limit", default=None, valid=AMOUNT
    )
    memory_limit: Memory | None = cluster_setting(
        "memory beyond which it is killed; none: as memory", default=None, valid=MEMORY_AMOUNT
    )
    accelerator: Text = cluster_setting(
        "resource name of the accelerators",
        default="",
        **matches(f"({RESOURCE})?", "a resource, such as nvidia.com/gpu or google.com/tpu"),
    )
    accelerators: int = cluster_setting("number of accelerators", default=0, ge=0)
    image: str = cluster_setting("container image; empty: the pipeline's", default="", **matches(r"\S*", IMAGE))
    node_selector: dict[str, Text] = cluster_setting("labels that a node must have", default_factory=dict)
    tolerations: list[Toleration] = cluster_setting(
        "taints that the pod tolerates",
        default_factory=list,
        valid="a list of key, operator (Exists or Equal), value, effect (NoSchedule, PreferNoSchedule or NoExecute), "
        "tolerationSeconds",
    )
    env: dict[str, Text] = cluster_setting("environment variables, such as HTTPS_PROXY", default_factory=dict)
    env_from_secret: dict[str, Annotated[SecretKey, nested(SecretKey)]] = cluster_setting(
        "environment variables from Secrets: name -> the Secret's name and key", default_factory=dict
    )
    labels: dict[str, Text] = cluster_setting("labels of the pod", default_factory=dict)
    annotations: dict[str, Text] = cluster_setting("annotations of the pod", default_factory=dict)
    pull_secrets: list[Name] = cluster_setting(
        "Secrets for the registry, beside those of the service account",
        default_factory=list,
        valid="a list of Kubernetes names",
    )
    priority_class: Name | None = cluster_setting(
        "PriorityClass, of workers only; none: the cluster's default", default=None, valid="a Kubernetes name"
    )
    volumes: list[Annotated[ExtraVolume, nested(ExtraVolume)]] = cluster_setting(
        "volumes beside the shared one: claim, secret or config_map, and path", default_factory=list
    )

    def __post_init__(self) -> None:
        if bool(self.accelerator) != (self.accelerators > 0):
            given = [self.accelerator, self.accelerators]
            raise SettingError("accelerator", "a resource and accelerators above 0, or neither", given)
        _check_limit("cpu", self.cpu, self.cpu_limit)
        _check_limit("memory", self.memory, self.memory_limit)
        _check_variables(self.env, self.env_from_secret)
        _check_metadata("labels", self.labels)
        _check_metadata("annotations", self.annotations)
        for key, value in self.labels.items():
            if not re.fullmatch(f"({WORD})?", value):
                raise SettingError(f"labels.{key}", "at most 63 letters, digits, -, _ and .", value)
        _check_different("volumes", "name", [volume.name for volume in self.volumes])
        _check_different("volumes", "path", [volume.path for volume in self.volumes])


def _check_limit(name: str, request: str, limit: str | None) -> None:
    if limit is None:
        return
    from kubernetes.utils import parse_quantity

    if parse_quantity(limit) < parse_quantity(request):
        raise SettingError(f"{name}_limit", f"at least {request}, which is {name}", limit)


def _check_variables(env: Iterable[str], from_secret: Iterable[str]) -> None:
    for setting, names in (("env", env), ("env_from_secret", from_secret)):
        for name in names:
            if not re.fullmatch(VARIABLE, name):
                raise SettingError(f"{setting}.{name}", "the name of an environment variable", name)
            if name in VARIABLES or name.startswith(OWNED_VARIABLES):
                raise SettingError(f"{setting}.{name}", "no variable that the pipeline or Kubeflow sets", name)
    if twice := sorted({*env} & {*from_secret}):
        raise SettingError(f"env_from_secret.{twice[0]}", "no variable that env has too", twice[0])


def _check_metadata(setting: str, keys: Iterable[str]) -> None:
    for key in keys:
        if not re.fullmatch(KEY, key):
            raise SettingError(f"{setting}.{key}", "a key, such as team or example.com/team", key)
        if OWNED.fullmatch(key):
            raise SettingError(f"{setting}.{key}", "no key that the pipeline, Kubeflow or Kubernetes sets", key)


def _check_different(setting: str, part: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise SettingError(setting, f"volumes that differ in {part}", value)
