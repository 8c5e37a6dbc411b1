"""A stateful emulator of the REST API of Kubeflow Pipelines v2, as far as our client uses it.

As strict as the real one: it refuses unknown JSON fields, names that exist and crons that robfig/cron v1.2 cannot
parse, pages its lists, and stops the running workflows of a recurring run that is deleted. It describes a run as 2.17
does with its stock configuration (`kfp_argo.py`), and hands out the logs of its pods.
"""

import base64
import contextlib
import dataclasses
import email
import email.policy
import itertools
import json
import re
import ssl
import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kfp_argo
import kfp_server_api
import yaml

API = "/apis/v2beta1"
PAGE = 2  # things in an answer, however many are asked for


@dataclasses.dataclass
class Fault:
    """What a request gets instead of its answer."""

    status: int
    body: bytes = b'{"error": "injected", "code": 13, "message": "injected fault", "details": []}'
    kind: str = "application/json"
    applies: bool = False  # the request is done nevertheless; only its answer is lost


class Emulator:
    """The state of the server, and what a test may do to it."""

    def __init__(self) -> None:
        self.pipelines: dict[str, dict] = {}
        self.versions: dict[str, dict] = {}
        self.experiments: dict[str, dict] = {}
        self.runs: dict[str, dict] = {}
        self.recurring: dict[str, dict] = {}
        self.requests: list[tuple[str, str]] = []  # method and path
        self.story: list[tuple[str, dict[str, str]]] = []  # of runs: state, and states of tasks, at each look
        self.messages: dict[str, list[str]] = {}  # by task, Argo's message about each failed pod
        self.logs: dict[str, str] = {}  # by task, what its last pod printed
        self.archives = True  # Argo keeps logs, as in the stock configuration
        self.keeps_pods = True  # finished pods are still there
        self.packages: dict[str, list] = {}  # by version, the documents of the compiled pipeline
        self.engine: Any = None  # runs the runs in earnest, in place of the story
        self.recorded: dict | None = None  # what a real Kubeflow answered about a run, in place of the story
        self.fault: Callable[[int, str, str], Fault | None] = lambda *_: None  # of number, method and path
        self.headers: dict[str, str] = {}  # that each request must have
        self.health: dict = {"multi_user": True, "tag_name": "2.17.0"}
        self.orphans = True  # knows propagation_policy, as from 2.16 on
        self._ids = itertools.count(1)
        self.literals = True  # False: a Kubeflow before 2.16, to which a pipeline with them is none

    def __enter__(self) -> "Emulator":
        self._stack = contextlib.ExitStack()
        self.host = f"http://127.0.0.1:{self._serve().server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _serve(self) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"emulator": self})
        server = self._stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self._stack.callback(server.shutdown)
        return server

    def with_certificate(self, path: str) -> str:
        """The address of the same server with the certificate and key in a PEM file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server = self._serve()
        server.socket = context.wrap_socket(server.socket, server_side=True)
        return f"https://127.0.0.1:{server.server_port}"

    def enabled(self) -> list[dict]:
        """The recurring runs that fire."""
        return [run for run in self.recurring.values() if run["mode"] == "ENABLE"]

    def fire(self, recurring: dict) -> dict:
        """A run as the scheduler starts it."""
        run = {"display_name": "scheduled", "recurring_run_id": recurring["recurring_run_id"], "state": "RUNNING"}
        return self._add(self.runs, "run_id", run)

    def handle(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, dict | str]:
        """Status and answer of a request."""
        for verb, pattern, function in _ROUTES:
            found = re.fullmatch(pattern if pattern.startswith("/apis/") else API + pattern, path)
            if verb == method and found:
                return function(self, *found.groups(), query=query, body=body)
        return _refuse(404, 5, "Not Found")

    def _add(self, kept: dict[str, dict], key: str, values: dict) -> dict:
        number = next(self._ids)
        identity = f"{key.removesuffix('_id')}-{number}"
        kept[identity] = {**values, key: identity, "created_at": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"}
        return kept[identity]

    def create_pipeline(self, query: dict, body: dict) -> tuple[int, dict]:
        unknown = _unknown(body, kfp_server_api.V2beta1Pipeline)
        if unknown:
            return unknown
        if any(_matches(one, body, "display_name", "namespace") for one in self.pipelines.values()):
            return _refuse(409, 6, f"Already exist error: {body['display_name']}")
        return 200, self._add(self.pipelines, "pipeline_id", body)

    def list_pipelines(self, query: dict, body: None) -> tuple[int, dict]:
        return _page(self.pipelines, "pipelines", query, namespace=query.get("namespace"))

    def upload_version(self, query: dict, body: bytes) -> tuple[int, dict]:
        pipeline, name = query["pipelineid"], query["name"]
        if pipeline not in self.pipelines:
            return 400, {"error_message": "Failed to create a pipeline version", "error_details": "no pipeline"}
        if any(one["display_name"] == name and one["pipeline_id"] == pipeline for one in self.versions.values()):
            return 409, {"error_message": "Failed to create a pipeline version", "error_details": "exists"}
        documents = [*yaml.load_all(body, yaml.CSafeLoader)]
        form = documents[0]["root"]["inputDefinitions"]["parameters"]
        if not self.literals and any("literals" in entry for entry in form.values()):
            said = "InvalidInputError: unknown template format: pipeline spec is invalid"
            said = f"Failed to create a pipeline version: Failed to create a pipeline version due to {said}"
            return 500, {"error_message": said, "error_details": said}
        values = {"pipeline_id": pipeline, "display_name": name, "name": name, "pipeline_spec": documents[0]}
        values["description"] = query.get("description", "")
        made = self._add(self.versions, "pipeline_version_id", values)
        self.packages[made["pipeline_version_id"]] = documents
        return 200, made

    def list_versions(self, pipeline: str, query: dict, body: None) -> tuple[int, dict]:
        return _page(self.versions, "pipeline_versions", query, pipeline_id=pipeline)

    def create_experiment(self, query: dict, body: dict) -> tuple[int, dict]:
        unknown = _unknown(body, kfp_server_api.V2beta1Experiment)
        if unknown:
            return unknown
        if any(_matches(one, body, "display_name", "namespace") for one in self.experiments.values()):
            return _refuse(409, 6, "Already exist error: the experiment")
        return 200, self._add(self.experiments, "experiment_id", body)

    def list_experiments(self, query: dict, body: None) -> tuple[int, dict]:
        return _page(self.experiments, "experiments", query, namespace=query.get("namespace"))

    def create_run(self, query: dict, body: dict) -> tuple[int, dict]:
        refused = _unknown(body, kfp_server_api.V2beta1Run) or self._unfit(body)
        if refused:
            return refused
        made = self._add(self.runs, "run_id", {**body, "state": "PENDING", **_account(body)})
        if self.engine:
            self.engine.start(made)
        return 200, made

    def get_run(self, identity: str, query: dict, body: None) -> tuple[int, dict]:
        if identity not in self.runs:
            return _refuse(404, 5, f"ResourceNotFoundError: Run {identity} not found")
        run, found = self.runs[identity], self._recorded(identity)
        if len(self.story) > 1:
            self.story.pop(0)
        history = run.setdefault("state_history", [])
        if not history or history[-1]["state"] != found["state"]:
            history.append({"update_time": kfp_argo.START, "state": found["state"]})
        run.update(state=found["state"], run_details={"task_details": found["tasks"]})
        return 200, run

    def get_run_of_version_one(self, identity: str, query: dict, body: None) -> tuple[int, dict]:
        """With Argo's record of its nodes."""
        if identity not in self.runs:
            return _refuse(404, 5, f"ResourceNotFoundError: Run {identity} not found")
        nodes = {node["id"]: node for node in self._recorded(identity)["nodes"]}
        return 200, {
            "run": {"id": identity},
            "pipeline_runtime": {"workflow_manifest": json.dumps({"status": {"nodes": nodes}})},
        }

    def read_artifact(self, identity: str, node: str, name: str, query: dict, body: None) -> tuple[int, dict]:
        """Argo keeps a pod's log as the artifact `main-logs` of its node."""
        found = next((one for one in self._recorded(identity)["nodes"] if one["id"] == node), None)
        if not (found and self.archives and name == "main-logs" and found["type"] == "Pod"):
            return 404, {"error_message": "artifact not found", "error_details": "artifact not found"}
        return 200, {"data": base64.b64encode(self._log(identity, found).encode()).decode()}

    def read_log(self, identity: str, pod: str, query: dict, body: None) -> tuple[int, str]:
        """Has the status 200 when it fails too, because its head is written first."""
        found = next((one for one in self._recorded(identity)["nodes"] if kfp_argo.pod_name(one) == pod), None)
        if not (found and self.keeps_pods):
            return 200, '{"error_message": "Failed to read logs", "error_details": "Failed to read logs"}'
        return 200, self._log(identity, found)

    def _recorded(self, identity: str) -> dict:
        """State, tasks and Argo's nodes of a run: those of a real one, or of the story."""
        if self.engine:
            return self.engine.record(identity)
        if self.recorded:
            return self.recorded
        state, states = self.story[0]
        nodes = kfp_argo.nodes(state, states, self.messages)
        return {"state": state, "tasks": kfp_argo.tasks(nodes), "nodes": nodes}

    def _log(self, identity: str, pod: dict) -> str:
        """What the pod printed, if it is one of a task's."""
        names = {one["id"]: one["displayName"] for one in self._recorded(identity)["nodes"]}
        task = names.get(pod["boundaryID"], "").partition("(")[0]
        return self.engine.log(identity, task) if self.engine else self.logs.get(task, "")

    def get_health(self, query: dict, body: None) -> tuple[int, dict]:
        """As the first version of the API, which tells the server's version."""
        return 200, self.health

    def terminate(self, identity: str, query: dict, body: None) -> tuple[int, dict]:
        if identity not in self.runs:
            return _refuse(404, 5, f"ResourceNotFoundError: Run {identity} not found")
        self.engine.terminate(identity)
        return 200, {}

    def delete_run(self, identity: str, query: dict, body: None) -> tuple[int, dict]:
        return (200, {}) if self.runs.pop(identity, None) else _refuse(404, 5, f"Run {identity} not found")

    def list_runs(self, query: dict, body: None) -> tuple[int, dict]:
        return _page(self.runs, "runs", query)

    def create_recurring(self, query: dict, body: dict) -> tuple[int, dict]:
        refused = _unknown(body, kfp_server_api.V2beta1RecurringRun) or self._unfit(body)
        fields = body["trigger"]["cron_schedule"]["cron"].split()
        if refused:
            return refused
        if not 5 <= len(fields) <= 6:
            return _refuse(400, 3, f"InvalidInputError: Expected 5 to 6 fields, found {len(fields)}")
        namespace = self.experiments[body["experiment_id"]]["namespace"]
        return 200, self._add(self.recurring, "recurring_run_id", {**body, "namespace": namespace, **_account(body)})

    def list_recurring(self, query: dict, body: None) -> tuple[int, dict]:
        return _page(self.recurring, "recurringRuns", query, namespace=query.get("namespace"))

    def switch_recurring(self, identity: str, verb: str, query: dict, body: None) -> tuple[int, dict]:
        if identity not in self.recurring:
            return _refuse(404, 5, f"ResourceNotFoundError: Job {identity} not found")
        self.recurring[identity]["mode"] = verb.upper()
        if self.engine:
            self.engine.fires(self.recurring[identity])
        return 200, {}

    def delete_recurring(self, identity: str, query: dict, body: None) -> tuple[int, dict]:
        if identity not in self.recurring:
            return _refuse(404, 5, f"ResourceNotFoundError: Job {identity} not found")
        del self.recurring[identity]
        if not (self.orphans and query.get("propagation_policy") == "ORPHAN"):
            for run in self.runs.values():
                if run.get("recurring_run_id") == identity and run["state"] == "RUNNING":
                    run["state"] = "FAILED"
        return 200, {}

    def _unfit(self, body: dict) -> tuple[int, dict] | None:
        reference = body["pipeline_version_reference"]
        version = self.versions.get(reference.get("pipeline_version_id"))
        if not version or version["pipeline_id"] != reference.get("pipeline_id"):
            return _refuse(404, 5, "ResourceNotFoundError: PipelineVersion not found")
        if body["experiment_id"] not in self.experiments:
            return _refuse(404, 5, "ResourceNotFoundError: Experiment not found")
        known = version["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
        for name in body.get("runtime_config", {}).get("parameters", {}):
            if name not in known:
                return _refuse(400, 3, f"InvalidInputError: parameter {name} is not of the pipeline")
        return None


_ROUTES: list[tuple[str, str, Callable[..., tuple[int, Any]]]] = [
    ("POST", "/pipelines", Emulator.create_pipeline),
    ("GET", "/pipelines", Emulator.list_pipelines),
    ("POST", "/pipelines/upload_version", Emulator.upload_version),
    ("GET", "/pipelines/([^/]+)/versions", Emulator.list_versions),
    ("POST", "/experiments", Emulator.create_experiment),
    ("GET", "/experiments", Emulator.list_experiments),
    ("POST", "/runs", Emulator.create_run),
    ("GET", "/runs", Emulator.list_runs),
    ("GET", "/runs/([^/]+)", Emulator.get_run),
    ("DELETE", "/runs/([^/]+)", Emulator.delete_run),
    ("POST", "/runs/([^/:]+):terminate", Emulator.terminate),
    ("GET", "/apis/v1beta1/healthz", Emulator.get_health),
    ("GET", "/apis/v1beta1/runs/([^/]+)", Emulator.get_run_of_version_one),
    ("GET", "/runs/([^/]+)/nodes/([^/]+)/artifacts/([^/:]+):read", Emulator.read_artifact),
    ("GET", "/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", Emulator.read_log),
    ("POST", "/recurringruns", Emulator.create_recurring),
    ("GET", "/recurringruns", Emulator.list_recurring),
    ("POST", "/recurringruns/([^/:]+):(enable|disable)", Emulator.switch_recurring),
    ("DELETE", "/recurringruns/([^/:]+)", Emulator.delete_recurring),
]


class _Handler(BaseHTTPRequestHandler):
    emulator: Emulator
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: a second one would wait for the first's acknowledgement

    def do_GET(self) -> None:
        address = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.emulator.requests.append((self.command, address.path))
        fault = self.emulator.fault(len(self.emulator.requests), self.command, address.path)
        if any(self.headers.get(name) != value for name, value in self.emulator.headers.items()):
            fault = Fault(401, b'{"error": "Unauthenticated", "code": 16, "message": "Request header error"}')
        if fault and not fault.applies:
            return self._send(fault.status, fault.body, fault.kind)
        query = dict(urllib.parse.parse_qsl(address.query))
        status, answer = self.emulator.handle(self.command, address.path, query, self._parsed(body))
        if fault:
            return self._send(fault.status, fault.body, fault.kind)
        if isinstance(answer, str):
            return self._send(status, answer.encode(), "text/plain; charset=utf-8")
        return self._send(status, json.dumps(answer).encode(), "application/json")

    do_POST = do_DELETE = do_GET  # noqa: N815

    def _parsed(self, body: bytes) -> Any:
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/"):
            message = email.message_from_bytes(
                b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body, policy=email.policy.HTTP
            )
            (part,) = [
                part
                for part in message.iter_parts()
                if part.get_param("name", header="content-disposition") == "uploadfile"
            ]
            assert part.get_filename().endswith(".yaml")
            return part.get_payload(decode=True)
        return json.loads(body) if body else None

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _refuse(status: int, code: int, message: str) -> tuple[int, dict]:
    return status, {"error": message, "code": code, "message": message, "details": []}


def _account(body: dict) -> dict[str, str]:
    """As whom it runs."""
    return {"service_account": body.get("service_account") or "default-editor"}


def _unknown(body: dict, model: Any) -> tuple[int, dict] | None:
    unknown = set(body) - set(model.attribute_map.values())
    return _refuse(400, 3, f'proto: unknown field "{unknown.pop()}"') if unknown else None


def _matches(one: dict, other: dict, *names: str) -> bool:
    return all(one.get(name) == other.get(name) for name in names)


def _page(kept: dict[str, dict], field: str, query: dict[str, str], **wanted: Any) -> tuple[int, dict]:
    predicates = json.loads(query["filter"])["predicates"] if query.get("filter") else []
    for predicate in predicates:
        if predicate["operation"] != "EQUALS":
            return _refuse(400, 3, "unknown operation")
        wanted[predicate["key"]] = predicate["stringValue"]
    found = [one for one in kept.values() if all(one.get(name) == value for name, value in wanted.items())]
    first = int(query.get("page_token") or 0)
    answer: dict = {"total_size": len(found)} if found else {}
    if page := found[first : first + PAGE]:
        answer[field] = page
    if first + PAGE < len(found):
        answer["next_page_token"] = str(first + PAGE)
    return 200, answer
