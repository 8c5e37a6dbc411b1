"""The one error of the Kubernetes API, made from whatever its client raises."""

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import urllib3

from trainer.errors import ReportedError
from trainer.failure import Kind

ROLES = "kubeflow/deploy/manifests"
BAD_REQUESTS = (400, 404, 405, 422)  # statuses that a retry does not change


class ApiError(ReportedError):
    """A request that failed. `transient`: a retry may succeed, after at least `pause` seconds."""

    def __init__(
        self, sentence: str, status: int = 0, transient: bool = False, pause: float = 0.0, **fields: Any
    ) -> None:
        super().__init__(sentence, value=status, **fields)
        self.status, self.transient, self.pause = status, transient, pause


@contextlib.contextmanager
def api_errors(request: str, namespace: str) -> Iterator[None]:
    """Turns what the client raises into an ApiError about `request`, a verb and a resource such as "create jobs"."""
    from kubernetes.client import ApiException

    try:
        yield
    except ApiException as error:
        raise _refusal(request, namespace, error) from error
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:  # no connection, timeout, truncated answer
        text = re.sub(r"<.*? object at \w+>: ?", "", str(error)) or type(error).__name__
        raise ApiError(text, transient=True) from error


def _refusal(request: str, namespace: str, error: Any) -> ApiError:
    status, says = error.status, _message(error)
    if status in (0, 408, 410, 429) or status >= 500:
        after = (error.headers or {}).get("Retry-After", "")
        return ApiError(says, status, transient=True, pause=float(after) if after.isdigit() else 0.0)
    kind, remedy = Kind.BAD_INPUT, ""
    if status == 401:
        sentence = "the Kubernetes API does not accept the credentials"
        remedy = "Check the service account's token, or the kube config"
    elif status == 403 and "cannot" in says:  # RBAC; a quota says "exceeded"
        sentence = f"not allowed to {request} in namespace {namespace}"
        remedy = f"Bind a Role with that verb to the service account, as in {ROLES}"
    else:
        sentence = f"the Kubernetes API refuses to {request}"
        kind = Kind.BAD_INPUT if status in BAD_REQUESTS else Kind.INFRASTRUCTURE
    return ApiError(f"{sentence}: {says}", status, kind=kind, remedy=remedy, cause=says)


def _message(error: Any) -> str:
    """Returns the API's own words, on one line."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return " ".join(json.loads(error.body)["message"].split())
    return f"{error.status} {' '.join(str(error.reason).split())}"
