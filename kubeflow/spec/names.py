"""Names, amounts and paths, as Kubernetes and KFP's compiler accept them in `cluster.yaml`."""

import functools
import pathlib
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from trainer.schema import Place, SettingError, setting
from trainer.storage.folders import name_fault

# Quantities as KFP's compiler accepts them, which is less than Kubernetes accepts.
CPU, MEMORY = r"(\d*\.)?\d+m?", r"\d+([KMGTPE]i?)?"
LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # name of a namespace
NAME = rf"{LABEL}(\.{LABEL})*"  # of another object of Kubernetes
WORD = r"[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?"  # value of a label
RESOURCE, KEY = rf"{NAME}/{WORD}", rf"({NAME}/)?{WORD}"  # a key is that of a label or an annotation
VARIABLE = r"[A-Za-z_]\w*"
PATH = r"(/[^/:]+)+"
ABSOLUTE = "an absolute path, such as /mnt/vaeiaf"
SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")
NEEDED = (*SYSTEM, "/opt/vaeiaf", "/opt/venv", "/home/vaeiaf", "/tmp", "/kfp-launcher", "/gcs", "/minio", "/s3")


class _Text(BeforeValidator):
    """Accepts a number for a text: `cpu: 2` means "2"."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(core_schema), "type": ["string", "number"]}


_of_number = _Text(
    lambda value: str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
)
Text = Annotated[str, _of_number]
# Types of settings that may be absent, for which the bounds of `matches` would not be in the JSON Schema.
Cpu = Annotated[str, Field(pattern=f"^({CPU})$"), _of_number]
Memory = Annotated[str, Field(pattern=f"^({MEMORY})$"), _of_number]
Name = Annotated[str, Field(pattern=f"^({NAME})$", max_length=253), _of_number]
Label = Annotated[str, Field(pattern=f"^({LABEL})$"), _of_number]

cluster_setting = functools.partial(setting, places=Place.CLUSTER)


def matches(pattern: str, valid: str) -> dict[str, Any]:
    """Returns the bounds of a text, which are `valid` in words. Kubernetes limits its names to 253 characters."""
    return {"pattern": f"^({pattern})$", "max_length": 253 if LABEL in pattern else None, "valid": valid}


KUBERNETES_NAME = matches(NAME, "a Kubernetes name")
MOUNT_PATH = matches(PATH, ABSOLUTE)


def check_mount_path(path: str) -> None:
    """Checks that a volume may be mounted at `path`, the value of the setting `path`.

    Raises:
      SettingError: the path is not plain, or hides a part of the image.
    """
    if expected := name_fault(path):
        raise SettingError("path", expected, path)
    if {".", ".."} & set(path.split("/")):
        raise SettingError("path", ABSOLUTE, path)
    hides = any(pathlib.PurePath(need).is_relative_to(path) for need in NEEDED)
    if hides or any(pathlib.PurePath(path).is_relative_to(system) for system in SYSTEM):
        raise SettingError("path", "a folder that hides nothing of the image, such as /mnt/vaeiaf", path)
