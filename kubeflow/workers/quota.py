"""Refusals of pods by a ResourceQuota, as its admission plugin words them."""

import re
from typing import NamedTuple

FULL = re.compile(
    r"exceeded quota: (?P<quota>[^,]+), requested: (?P<requested>\S+), used: \S+, limited: (?P<limit>\S+)"
)


class Excess(NamedTuple):
    """A request that is larger than the whole quota."""

    quota: str  # its name
    resource: str  # such as requests.cpu
    pod: str  # amount that one pod requests, such as 500m
    limit: str  # amount for the whole namespace


def is_full(refusal: str) -> bool:
    """Whether a quota refuses the pod."""
    return bool(FULL.search(refusal))


def excess(refusal: str, count: int) -> Excess | None:
    """Returns the first resource of which `count` such pods need more than the whole quota; None if they fit."""
    from kubernetes.utils import parse_quantity

    found = FULL.search(refusal)
    if not found:
        return None
    limits = _amounts(found["limit"])
    for resource, amount in _amounts(found["requested"]).items():
        if resource in limits and count * parse_quantity(amount) > parse_quantity(limits[resource]):
            return Excess(found["quota"], resource, amount, limits[resource])
    return None


def _amounts(text: str) -> dict[str, str]:
    """Reads resources and amounts, such as `requests.cpu=4,requests.memory=8Gi`."""
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)
