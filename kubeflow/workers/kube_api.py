"""The launcher's requests to the Kubernetes API, repeated while its errors are transient.

The service account needs the Role `vaeiaf-launcher` of kubeflow/deploy/manifests.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kubeflow.workers.clock import Clock
from kubeflow.workers.job import Job
from kubeflow.workers.kube_errors import ApiError, api_errors
from kubeflow.workers.pod import Pod
from trainer.errors import InterruptError, UserError

log = logging.getLogger(__name__)

PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 15.0  # between attempts
CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0  # of a request; a launcher that is told to stop has 30 s for all it does
STREAM_SECONDS = 30  # of silence, after which a stream is reopened
SIGNAL_SECONDS = 0.1  # between checks of signals in a pause

Object = dict[str, Any]


def connect() -> Any:
    """Returns a `kubernetes.client.ApiClient` for the cluster of this pod, or for the one in the kube config.

    Raises:
      UserError: there is neither.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_incluster_config(configuration)
    except config.ConfigException:
        try:
            config.load_kube_config(client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            remedy = "Run it in a pod of the cluster, or name a kube config in KUBECONFIG"
            sentence = f"this process finds no Kubernetes cluster: {str(error).rstrip('.')}"
            raise UserError(sentence, remedy=remedy) from error
    configuration.retries = False  # `Api` retries
    return client.ApiClient(configuration)


class Api:
    """The API of one namespace.

    Requests, except for logs and streams, are repeated for `patience` seconds while their errors are transient. A
    signal in the list `signals` ends that.

    Raises:
      ApiError: the API refuses, or does not recover in time.
      InterruptError: a signal came.
    """

    def __init__(self, client: Any, namespace: str, patience: float, clock: Clock, signals: Sequence[int] = ()) -> None:
        from kubernetes.client import BatchV1Api, CoreV1Api, NetworkingV1Api

        self.client, self.namespace, self.clock = client, namespace, clock
        self._batch, self._core, self._networking = BatchV1Api(client), CoreV1Api(client), NetworkingV1Api(client)
        self._patience, self._signals = patience, signals

    def create_job(self, manifest: Object) -> Job | None:
        """Returns the new Job; None if there is one of that name."""
        found = self._call("create jobs", self._batch.create_namespaced_job, (409,), body=manifest)
        return found and Job.of(found)

    def get_job(self, name: str) -> Job | None:
        """Returns the Job of that name; None if there is none."""
        found = self._call("get jobs", self._batch.read_namespaced_job, (404,), name=name)
        return found and Job.of(found)

    def set_deadline(self, name: str, seconds: int) -> None:
        """Sets the seconds that a Job may run, unless it is gone or somebody else is changing it."""
        changes = {"spec": {"activeDeadlineSeconds": seconds}}
        self._call("patch jobs", self._batch.patch_namespaced_job, (404, 409), name=name, body=changes)

    def delete_job(self, job: Job, propagation: str) -> None:
        """Deletes this Job and its dependents, unless it is gone; never another one of the same name.

        `propagation`: with Foreground the Job stays until its pods are gone, with Background it does not.
        """
        options = {"propagationPolicy": propagation, "preconditions": {"uid": job.uid}}
        self._call("delete jobs", self._batch.delete_namespaced_job, (404, 409), name=job.name, body=options)

    def create_service(self, manifest: Object) -> bool:
        """Returns whether the Service is new; False if there is one of that name."""
        found = self._call("create services", self._core.create_namespaced_service, (409,), body=manifest)
        return found is not None

    def delete_service(self, name: str) -> None:
        """Deletes the Service, unless it is gone."""
        self._call("delete services", self._core.delete_namespaced_service, (404, 409), name=name)

    def create_policy(self, manifest: Object) -> bool:
        """Returns whether the NetworkPolicy is new; False if there is one of that name."""
        call = self._networking.create_namespaced_network_policy
        return self._call("create networkpolicies", call, (409,), body=manifest) is not None

    def delete_policy(self, name: str) -> None:
        """Deletes the NetworkPolicy, unless it is gone."""
        call = self._networking.delete_namespaced_network_policy
        self._call("delete networkpolicies", call, (404, 409), name=name)

    def get_pod(self, name: str) -> Object | None:
        """Returns any pod, as the API describes it; None if there is none of that name."""
        return self._call("get pods", self._core.read_namespaced_pod, (404,), name=name)

    def list_pods(self, selector: str) -> tuple[list[Pod], str]:
        """Returns the workers' pods with these labels, and the resource version from which a watch continues."""
        found = self._call("list pods", self._core.list_namespaced_pod, label_selector=selector)
        return [Pod.of(item) for item in found["items"]], found["metadata"]["resourceVersion"]

    def list_events(self, uid: str) -> list[Object]:
        """Returns the recent Events about the object with this uid."""
        selector = f"involvedObject.uid={uid}"
        return self._call("list events", self._core.list_namespaced_event, field_selector=selector)["items"]

    def watch_pods(self, selector: str, version: str) -> Iterator[Pod]:
        """Yields the workers' pods that change after `version`, for at most STREAM_SECONDS.

        Raises:
          ApiError: also a transient one, if the stream broke off or `version` is too old.
        """
        options = {"label_selector": selector, "resource_version": version, "timeout_seconds": STREAM_SECONDS}
        watch, seconds = self._core.list_namespaced_pod, STREAM_SECONDS + READ_SECONDS
        for line in self._stream("watch pods", watch, seconds, watch=True, **options):
            with api_errors("watch pods", self.namespace):
                event = json.loads(line)
            if event["type"] == "ERROR":
                raise ApiError(str(event["object"].get("message")), transient=True)
            yield Pod.of(event["object"], gone=event["type"] == "DELETED")

    def log_lines(self, pod: str, since: int | None) -> Iterator[bytes]:
        """Yields the lines of a pod's log, each after its time, and waits for more.

        `since`: seconds to go back; None for the whole log. Raises transient ApiErrors too.
        """
        options = {"name": pod, "follow": True, "timestamps": True} | ({"since_seconds": since} if since else {})
        return self._stream("get pods/log", self._core.read_namespaced_pod_log, STREAM_SECONDS, **options)

    def log_tail(self, pod: str, lines: int) -> list[str]:
        """Returns the last lines of a pod's log. Tries once, so it raises transient ApiErrors too."""
        read = self._core.read_namespaced_pod_log
        tail = self._stream("get pods/log", read, READ_SECONDS, name=pod, tail_lines=lines)
        return [line.decode(errors="replace") for line in tail]

    def pause(self, seconds: float) -> None:
        """Sleeps; raises InterruptError when a signal comes."""
        while True:
            if self._signals:
                raise InterruptError(self._signals[0])
            if seconds <= 0:
                return
            step = min(seconds, SIGNAL_SECONDS)
            self.clock.sleep(step)
            seconds -= step

    def _call(self, request: str, method: Callable[..., Any], absent: Sequence[int] = (), **options: Any) -> Any:
        """Returns the answer's JSON; None if its status is one of `absent`."""
        end, pause = self.clock.monotonic() + self._patience, PAUSE_SECONDS
        while True:
            try:
                with api_errors(request, self.namespace):
                    return json.loads(self._send(method, READ_SECONDS, **options).data)
            except ApiError as error:
                if error.status in absent:
                    return None
                if not error.transient:
                    raise
                pause = max(pause, error.pause)
                if self.clock.monotonic() + pause > end:
                    sentence = f"the Kubernetes API did not {request} within {self._patience:.0f} s: {error}"
                    remedy = "Start again when it answers; checkpoints are kept"
                    raise ApiError(sentence, error.status, remedy=remedy) from error
                log.debug("the Kubernetes API: %s; retrying in %.1f s", error, pause)
            self.pause(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _stream(self, request: str, method: Callable[..., Any], seconds: float, **options: Any) -> Iterator[bytes]:
        """Yields lines as they arrive; drops the one in which the stream breaks off."""
        with api_errors(request, self.namespace), contextlib.closing(self._send(method, seconds, **options)) as lines:
            for line in lines:
                yield line.removesuffix(b"\n")

    def _send(self, method: Callable[..., Any], seconds: float, **options: Any) -> Any:
        """Returns urllib3's response to one request, with its body unread; `seconds` is the read timeout."""
        timeouts = (CONNECT_SECONDS, seconds)
        options = {"namespace": self.namespace, **options}
        return method(_preload_content=False, _request_timeout=timeouts, **options)
