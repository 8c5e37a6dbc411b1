"""All checks, in the order in which people mend what they find."""

from collections.abc import Callable, Iterator

from kubeflow.client.api import Api
from kubeflow.doctor import claim, pod, quota, retries, rights, versions
from kubeflow.doctor.kube import Kube, is_missing_right
from kubeflow.spec.cluster import Cluster
from kubeflow.workers.kube_errors import ApiError
from pipeline.doctor.finding import Finding, State
from trainer.errors import ReportedError
from trainer.failure import Kind

ADMINISTRATOR = "Have an account with that right run it, such as an administrator of the namespace"


def examine(cluster: Cluster, kube: Kube, api: Api) -> Iterator[Finding]:
    """Makes all checks, and yields each finding as soon as it is known.

    Raises:
      InterruptError: a signal came; the doctor's pod is removed.
    """
    yield from _guarded("kubernetes", lambda: versions.kubernetes(kube))
    yield from _guarded("kubeflow", lambda: versions.kubeflow(api))
    yield from _guarded("ui", lambda: versions.ui(api.ui))
    yield from _guarded("rights", lambda: rights.rights(kube, cluster))
    yield from _guarded("retries", lambda: retries.retries(kube, cluster))
    yield from _guarded("quota", lambda: quota.quota(kube, cluster))
    yield from _guarded("image, volume, database", lambda: pod.inside(kube, cluster))
    yield from _guarded("claim", lambda: claim.claim(kube, cluster))  # some are bound when a pod first uses them


def _guarded(check: str, make: Callable[[], Finding | Iterator[Finding]]) -> Iterator[Finding]:
    """Makes one check. Says so if it fails, and lets the others go on."""
    try:
        found = make()
        yield from [found] if isinstance(found, Finding) else found
    except ApiError as error:
        if not is_missing_right(error):
            yield _failed(check, error)
            return
        yield Finding(check, State.UNKNOWN, f"not checked: {error.failure.cause}", ADMINISTRATOR)
    except ReportedError as error:
        if error.failure.kind == Kind.STOPPED:
            raise
        yield _failed(check, error)


def _failed(check: str, error: ReportedError) -> Finding:
    return Finding(check, State.WRONG, error.failure.sentence, error.failure.remedy)
