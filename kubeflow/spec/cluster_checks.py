"""What a setting of `cluster.yaml` has to be, so that it fails where it is read, not in KFP's compiler or in a pod."""

import re
import zoneinfo
from collections.abc import Mapping
from typing import Any

from trainer.errors import UserError
from trainer.storage.folders import name_fault

# As KFP's compiler takes them, which knows less than Kubernetes.
CPU, MEMORY = r"(\d*\.)?\d+m?", r"\d+([KMGTPE]i?)?"
LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # name of a namespace
NAME = rf"(?!.{{254}}){LABEL}(\.{LABEL})*"  # of another object of Kubernetes
RESOURCE = rf"{NAME}/[A-Za-z0-9]([-\w.]{{0,61}}[A-Za-z0-9])?"
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
TOLERATION: Mapping[str, tuple[type, tuple[str, ...]]] = {  # field -> type, values; no values: any
    "key": (str, ()),
    "operator": (str, ("Exists", "Equal")),
    "value": (str, ()),
    "effect": (str, EFFECTS),
    "tolerationSeconds": (int, ()),
}
SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")
NEEDED = (*SYSTEM, "/opt/vaeiaf", "/opt/venv", "/home/vaeiaf", "/tmp", "/kfp-launcher", "/gcs", "/minio", "/s3")


class ClusterError(UserError):
    """A `cluster.yaml` that cannot be used; the message names the setting, what was expected and what came."""

    def __init__(self, setting: str, expected: str, got: object) -> None:
        super().__init__(f"cluster.yaml: {setting}: expected {expected}, got {got!r}")
        self.setting, self.expected, self.got = setting, expected, got


def match(setting: str, pattern: str, expected: str, value: str) -> None:
    """Raises a ClusterError unless the whole of `value` is what `pattern` says."""
    if not re.fullmatch(pattern, value):
        raise ClusterError(setting, expected, value)


def above(setting: str, bound: int, value: int) -> None:
    """Raises a ClusterError unless `value` is more than `bound`, which is 0 or -1."""
    if value <= bound:
        raise ClusterError(setting, "a number that is not negative" if bound < 0 else "a number above 0", value)


def port(setting: str, value: int) -> None:
    """Raises a ClusterError unless `value` is a port."""
    if not 0 < value < 65536:
        raise ClusterError(setting, "a port, from 1 to 65535", value)


def mount_path(setting: str, path: str) -> None:
    """Raises a ClusterError unless a volume can be mounted at `path` without hiding what a pod needs."""
    match(setting, r"(/(?!\.{1,2}(/|$))[^/:]+)+", "an absolute path, as /mnt/vaeiaf", path)
    if expected := name_fault(path):
        raise ClusterError(setting, expected, path)
    if any(_within(need, path) for need in NEEDED) or any(_within(path, system) for system in SYSTEM):
        raise ClusterError(setting, "a folder that hides nothing of the image, as /mnt/vaeiaf", path)


def toleration(setting: str, given: Mapping[str, Any]) -> None:
    """Raises a ClusterError unless `given` is a toleration of Kubernetes."""
    for name, value in given.items():
        kind, values = TOLERATION.get(name, (None, ()))
        if type(value) is not kind or (values and value not in values):
            fields = [f"{field} ({' or '.join(some)})" if some else field for field, (_, some) in TOLERATION.items()]
            raise ClusterError(setting, f"tolerations of {', '.join(fields)}", dict(given))


def time_zone(setting: str, name: str) -> None:
    """Raises a ClusterError unless there is a time zone of this name."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ClusterError(setting, "a name of the IANA database, as Europe/Berlin", name) from None


def _within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")
