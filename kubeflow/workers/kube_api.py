"""The few calls of the Kubernetes API that a launcher of pods makes, and how they outlast the API's bad minutes.

Its service account needs, in the namespace of the run: create, get, patch and delete `jobs.batch`; create and delete
`services`; get, list and watch `pods`; get `pods/log`; list `events`.
"""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from kubeflow.workers.kube_errors import ApiError, TroubleError, refusal, trouble
from trainer.errors import InterruptError, UserError
from trainer.failure import Kind

log = logging.getLogger(__name__)

PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 15.0  # between tries
CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0  # of a request; a launcher that is told to stop has 30 s for all it does
STREAM_SECONDS = 30  # of silence, after which a stream is opened anew
RESOURCES = {  # kind -> group, plural
    "Job": ("/apis/batch/v1", "jobs"),
    "Service": ("/api/v1", "services"),
    "Pod": ("/api/v1", "pods"),
    "Event": ("/api/v1", "events"),
}

Object = dict[str, Any]


def connect() -> Any:
    """A `kubernetes.client.ApiClient` for the cluster that this pod is in, or that the kube config names.

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
            raise UserError(
                f"no Kubernetes cluster: expected to be in one of its pods, or a kube config, see KUBECONFIG: {error}"
            ) from error
    configuration.retries = False  # that is done here
    return client.ApiClient(configuration)


class Api:
    """The API of one namespace.

    Every call but those for logs and streams is repeated for `patience` seconds while it meets trouble. A signal in the
    list `signals` ends that.

    Raises:
      ApiError: the API refuses, or does not get well in time.
      InterruptError: a signal came.
    """

    def __init__(self, client: Any, namespace: str, patience: float, signals: Sequence[int] = ()) -> None:
        self.client, self.namespace = client, namespace
        self._signals, self._patience = signals, patience

    def create(self, manifest: Object) -> Object | None:
        """What the API made of it; None if there is one of that name."""
        return self._call("create", manifest["kind"], absent=(409,), body=manifest)

    def get(self, kind: str, name: str) -> Object | None:
        """None if there is none."""
        return self._call("get", kind, name)

    def patch(self, kind: str, name: str, changes: Object) -> None:
        """Puts `changes` in the place of what it has there, if it is there and nobody else is changing it."""
        self._call("patch", kind, name, (404, 409), body=changes)

    def delete(self, kind: str, name: str, propagation: str, uid: str | None = None) -> None:
        """It, if it is there, and, by the propagation Background or Foreground, what belongs to it.

        With a `uid` no other is deleted that has got its name.
        """
        preconditions = {"preconditions": {"uid": uid}} if uid else {}
        self._call("delete", kind, name, (404, 409), body={"propagationPolicy": propagation} | preconditions)

    def list_pods(self, selector: str) -> tuple[list[Object], str]:
        """The pods with these labels, and the version of the cluster's state from which a watch goes on."""
        found = self._call("list", "Pod", query={"labelSelector": selector})
        if found is None:
            raise ApiError(f"namespace {self.namespace}: expected one that exists", 404, kind=Kind.BAD_INPUT)
        return found["items"], found["metadata"]["resourceVersion"]

    def list_events(self, uid: str) -> list[Object]:
        """What was noted lately of the object with this uid."""
        found = self._call("list", "Event", query={"fieldSelector": f"involvedObject.uid={uid}"})
        return found["items"] if found else []

    def watch_pods(self, selector: str, version: str) -> Iterator[Object]:
        """Events since `version`, for a while.

        Raises:
          TroubleError: the stream broke off, or `version` is too old.
        """
        query = {"labelSelector": selector, "resourceVersion": version, "timeoutSeconds": STREAM_SECONDS}
        response = self._send("watch", "Pod", query=query | {"watch": "true"}, seconds=STREAM_SECONDS + READ_SECONDS)
        for line in _lines(response):
            with trouble():
                event = json.loads(line)
            if event["type"] == "ERROR":
                raise TroubleError(event["object"].get("message"))
            yield event

    def log_lines(self, pod: str, since: int | None) -> Iterator[bytes]:
        """Lines of the log of a pod, each after its time, of the last `since` seconds or all; waits for more.

        Raises:
          TroubleError: the stream broke off.
        """
        query = {"follow": "true", "timestamps": "true"} | ({"sinceSeconds": since} if since else {})
        yield from _lines(self._send("get", "Pod", f"{pod}/log", query=query, seconds=STREAM_SECONDS))

    def log_tail(self, pod: str, lines: int) -> list[str]:
        """The last lines of the log of a pod; tried once, so TroubleError may come too."""
        response = self._send("get", "Pod", f"{pod}/log", query={"tailLines": lines})
        with trouble():
            return response.data.decode(errors="replace").splitlines()

    def pause(self, seconds: float) -> None:
        """Sleeps; raises InterruptError when a signal comes."""
        end = time.monotonic() + seconds
        while True:
            if self._signals:
                raise InterruptError(self._signals[0])
            if (left := end - time.monotonic()) <= 0:
                return
            time.sleep(min(left, 0.1))

    def _call(self, verb: str, kind: str, name: str = "", absent: Sequence[int] = (404,), **rest: Any) -> Object | None:
        """The answer; None if its status is one of `absent`."""
        end, pause = time.monotonic() + self._patience, PAUSE_SECONDS
        while True:
            try:
                with trouble():
                    return json.loads(self._send(verb, kind, name, **rest).data)
            except ApiError as error:
                if error.status not in absent:
                    raise
                return None
            except TroubleError as met:
                pause = max(pause, met.pause)
                if time.monotonic() + pause > end:
                    raise ApiError(
                        f"the Kubernetes API cannot {verb} {_resource(kind, name)}, tried for {self._patience:.0f} s: "
                        f"{met}"
                    ) from met
                log.debug("the Kubernetes API: %s; trying again in %.1f s", met, pause)
                self.pause(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _send(
        self,
        verb: str,
        kind: str,
        name: str = "",
        query: Object | None = None,
        body: Object | None = None,
        seconds: float | None = None,
    ) -> Any:
        """One try: the response, whose body is still to be read."""
        from kubernetes.client import ApiException

        method = {"create": "POST", "patch": "PATCH", "delete": "DELETE"}.get(verb, "GET")
        content = "application/merge-patch+json" if verb == "patch" else "application/json"
        group, plural = RESOURCES[kind]
        path = f"{group}/namespaces/{self.namespace}/{plural}{'/' if name else ''}{name}"
        try:
            with trouble():
                return self.client.call_api(
                    path,
                    method,
                    query_params=list((query or {}).items()),
                    header_params={"Accept": "application/json, */*", "Content-Type": content},
                    body=body,
                    auth_settings=["BearerToken"],
                    _preload_content=False,
                    _return_http_data_only=True,
                    _request_timeout=(CONNECT_SECONDS, seconds or READ_SECONDS),
                )
        except ApiException as error:
            raise refusal(verb, _resource(kind, name), self.namespace, error) from error


def _resource(kind: str, name: str) -> str:
    plural = RESOURCES[kind][1]
    return f"{plural}/log" if name.endswith("/log") else plural


def _lines(response: Any) -> Iterator[bytes]:
    """Lines as they arrive. What a broken stream leaves of a line is dropped."""
    line = bytearray()
    try:
        chunks = response.stream(65536)
        while True:
            with trouble():
                chunk = next(chunks, b"")
            if not chunk:
                break
            *ended, rest = (bytes(line) + chunk).split(b"\n")
            yield from ended
            line = bytearray(rest)
        if line:
            yield bytes(line)
    finally:
        response.close()
