"""Reads `cluster.yaml`. An error names the line."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.tasks import TASKS
from trainer.errors import UserError
from trainer.schema import SettingError, check_needs, nearest


def load_cluster(path: str) -> Cluster:
    """Reads the cluster that the YAML file at `path` describes.

    Raises:
      SettingError: a setting is unknown, missing or invalid, or has no meaning beside the others.
      UserError: the file cannot be read, or is not YAML.
    """
    try:
        with open(path) as file:
            text = file.read()
        document, values = yaml.compose(text), yaml.safe_load(text)
    except OSError as error:
        remedy = "Start from kubeflow/spec/cluster.yaml"
        raise UserError(f"{path} cannot be read: {error.strerror}", value=path, remedy=remedy) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the encoding, or a date such as 2026-02-30
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}", value=path) from error
    if not isinstance(values, Mapping):
        raise SettingError("the file", "settings with names", values, where=f"{path}: ")
    try:
        cluster = Cluster(**{str(name): value for name, value in values.items()})
        _check_tasks(cluster)
        _check_needs(cluster, values, ())
    except SettingError as error:
        raise error.below(where=f"{path}, line {_line(document, error.setting.split('.'))}: ") from None
    return cluster


def _check_tasks(cluster: Cluster) -> None:
    for name in cluster.tasks:
        if name not in TASKS:
            raise SettingError(f"tasks.{name}", f"one of {', '.join(TASKS)}", name, remedy=nearest(name, TASKS))


def _check_needs(table: Any, given: Mapping[str, Any], location: tuple[str, ...]) -> None:
    """Refuses settings of the file that have no meaning, in all its tables."""
    try:
        check_needs(table, given)
    except SettingError as error:
        raise error.below(*location) from None
    for name, value in given.items():
        inner = getattr(table, name)
        if isinstance(value, Mapping) and hasattr(inner, "__pydantic_fields__"):
            _check_needs(inner, value, (*location, name))


def _line(node: yaml.Node | None, location: Iterable[str]) -> int:
    """Returns the line, from 1, of the value at `location`, or of the deepest part of it that the file has."""
    line = node.start_mark.line + 1 if node else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            found = (node.value[int(part)],) * 2
        else:
            found = None
        if found is None:
            break
        key, node = found
        line = key.start_mark.line + 1
    return line
