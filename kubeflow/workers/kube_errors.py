"""What it means that the Kubernetes API did not do what it was asked: trouble that may pass, or a refusal."""

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import urllib3

from trainer.errors import ReportedError
from trainer.failure import Kind


class ApiError(ReportedError):
    """The API refused a request, or failed for too long. It is bad input if somebody has to change something."""

    def __init__(self, sentence: str, status: int = 0, kind: Kind = Kind.INFRASTRUCTURE) -> None:
        super().__init__(sentence, value=status, kind=kind)
        self.status = status


class TroubleError(Exception):
    """What may pass: no connection, a time-out, too many requests, an error inside the API."""

    def __init__(self, what: object, pause: float = 0.0) -> None:
        super().__init__(str(what))
        self.pause = pause  # seconds that the API asks for


@contextlib.contextmanager
def trouble() -> Iterator[None]:
    """Raises TroubleError in place of errors of the connection, and of an answer that broke off."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise TroubleError(re.sub(r"<.*? object at \w+>: ?", "", str(error)) or type(error).__name__) from error


def refusal(verb: str, resource: str, namespace: str, error: Any) -> Exception:
    """What to raise in place of `error`, the client's, with which the API answered a request."""
    status, says = error.status, _message(error)
    if status in (0, 408, 410, 429) or status >= 500:
        after = (error.headers or {}).get("Retry-After", "")
        return TroubleError(says, float(after) if after.isdigit() else 0.0)
    if status == 401:
        says = f"the Kubernetes API does not know who asks: expected a valid token or kube config: {says}"
        return ApiError(says, status, kind=Kind.BAD_INPUT)
    if status == 403 and "cannot" in says:  # RBAC; a quota says "exceeded"
        return ApiError(
            f"not allowed to {verb} {resource} in namespace {namespace}: expected a Role with that verb for this "
            f"service account, as in kubeflow/deploy/manifests: {says}",
            status,
            kind=Kind.BAD_INPUT,
        )
    wrong = status in (400, 404, 405, 422)
    return ApiError(
        f"the Kubernetes API refuses to {verb} {resource}: {says}",
        status,
        Kind.BAD_INPUT if wrong else Kind.INFRASTRUCTURE,
    )


def _message(error: Any) -> str:
    """What the API says, in one line."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return " ".join(json.loads(error.body)["message"].split())
    return f"{error.status} {' '.join(str(error.reason).split())}"
