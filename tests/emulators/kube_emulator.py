"""A Kubernetes API over HTTP for tests: the requests of the launcher, and the ways in which they fail."""

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kube_clock import StillClock
from kube_state import PLURALS, State, has_labels

PATH = re.compile(
    r"/apis?(?:/batch|/networking\.k8s\.io|/authorization\.k8s\.io)?/v1/"
    r"namespaces/([^/?]+)/(\w+)(?:/([^/?]+))?(/log)?(?:\?(.*))?"
)
MERGES = ("application/merge-patch+json", "application/strategic-merge-patch+json")
GROUPS = {"jobs": "batch", "networkpolicies": "networking.k8s.io"}
REASONS = {403: "Forbidden", 404: "NotFound", 409: "AlreadyExists", 410: "Expired", 429: "TooManyRequests"}


class Fault:
    """Replaces the next `times` answers to requests whose "VERB path" matches `pattern`.

    kind: a status; `drop`, a closed connection before or `late` after the request took effect; `hang`, no answer;
    `cut`, a stream that breaks off after `lines` lines; `expire`, a watch to which the state is too old.
    """

    def __init__(self, pattern, kind, times=1, headers=None, lines=0):
        self.pattern, self.kind, self.times, self.headers, self.lines = pattern, kind, times, headers or {}, lines


class Emulator:
    """The server. `state.kubelet` runs the pods; tests read and change `state`."""

    def __init__(self, kubelet, namespace="training", host="127.0.0.1", port=0, clock=None):
        self.state = State(kubelet, namespace, clock or StillClock())
        self.faults, self.requests, self.forbidden = [], [], set()  # forbidden: (verb, resource)
        self.denied = set()  # rights that no account has: (verb, resource)
        self.admit = lambda pod: ""  # returns why a pod is not admitted
        self.version = {"major": "1", "minor": "34+"}
        self.stopped = threading.Event()
        self._server = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"emulator": self}))
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}"

    def start(self):
        threading.Thread(target=self._server.serve_forever, args=[0.005], daemon=True).start()

    def stop(self):
        self.stopped.set()
        with self.state.changed:
            self.state.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def write_kubeconfig(self, path, url=None):
        """Writes a kube config for this cluster."""
        parts = {
            "clusters": [{"name": "emulator", "cluster": {"server": url or self.url}}],
            "users": [{"name": "tester", "user": {}}],
            "contexts": [{"name": "emulator", "context": {"cluster": "emulator", "user": "tester"}}],
        }
        values = {"apiVersion": "v1", "kind": "Config", "current-context": "emulator", **parts}
        path.write_text(json.dumps(values))

    def fail(self, pattern, kind, **how):
        self.faults.append(Fault(pattern, kind, **how))

    def fault_of(self, request):
        for fault in self.faults:
            if fault.times > 0 and re.match(fault.pattern, request):
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    emulator: Emulator
    fault = None
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(OSError):  # the client has disconnected
            super().handle()

    def do_GET(self):
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _answer(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        if self.path == "/version/":
            return self._json(200, self.emulator.version)
        match = PATH.fullmatch(self.path)
        namespace, plural, name, log, query = match.groups()
        query = dict(part.split("=", 1) for part in (query or "").split("&") if part)
        query = {key: value.replace("%3D", "=").replace("%2F", "/") for key, value in query.items()}
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(self.command, "get" if name else "list")
        verb, resource = ("watch" if query.get("watch") else verb), f"{plural}{log or ''}"
        request = f"{verb} {resource}{'/' if name else ''}{name or ''}"
        self.emulator.requests.append(request)
        self.fault = self.emulator.fault_of(request)
        kind = self.fault and self.fault.kind
        self.left = self.fault.lines if self.fault else 0  # lines until the stream is cut
        if kind == "drop":
            self.close_connection = True
        elif kind == "hang":
            self.emulator.stopped.wait(5)
            self.close_connection = True
        elif isinstance(kind, int):
            self._status(kind, f"injected {kind}", self.fault.headers)
        elif (verb, resource) in self.emulator.forbidden:
            group = GROUPS.get(plural, "")
            user = f"system:serviceaccount:{namespace}:default-editor"
            what = f'cannot {verb} resource "{resource}" in API group "{group}" in the namespace "{namespace}"'
            self._status(403, f'{resource} is forbidden: User "{user}" {what}')
        elif namespace != self.emulator.state.namespace and verb == "create":
            self._status(404, f'namespaces "{namespace}" not found')
        else:
            self._serve(verb, PLURALS.get(plural, plural), namespace, name, log, query, body)
        return None

    def _serve(self, verb, kind, namespace, name, log, query, body):
        state = self.emulator.state
        if log:
            self._log(name, query)
        elif verb == "watch":
            self._watch(query)
        elif verb == "list":
            items, version = state.list(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
            self._json(200, {"kind": f"{kind}List", "metadata": {"resourceVersion": version}, "items": items})
        elif kind == "localsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            resource = "/".join(asked[part] for part in ("resource", "subresource") if part in asked)
            self._json(201, {"status": {"allowed": (asked["verb"], resource) not in self.emulator.denied}})
        elif verb == "create" and query.get("dryRun"):
            said = self.emulator.admit(body)
            self._status(403, said) if said else self._json(201, body)
        elif verb == "create":
            made = state.create(kind, body)
            name = body["metadata"]["name"]
            self._json(201, made) if made else self._status(409, f'{kind} "{name}" already exists')
        elif verb == "patch":
            self._patch(kind, name, body)
        elif verb == "delete":
            uid = body.get("preconditions", {}).get("uid")
            there = state.delete(kind, name, body.get("propagationPolicy", "Orphan"), uid)
            if there is None:
                self._status(409, f"Precondition failed: UID in precondition: {uid}")
            else:
                self._status(200, "deleted") if there else self._status(404, f'{kind} "{name}" not found')
        else:
            found = state.get(kind, name)
            there = found and found["metadata"]["namespace"] == namespace
            self._json(200, found) if there else self._status(404, f'{kind} "{name}" not found')

    def _patch(self, kind, name, changes):
        if self.headers["Content-Type"] not in MERGES:
            return self._status(415, f"{self.headers['Content-Type']}: expected one of {MERGES}")
        changed = self.emulator.state.patch_job(name, changes) if kind == "Job" else False
        if changed is None:
            return self._status(404, f'{kind} "{name}" not found')
        return self._json(200, changed) if changed else self._status(422, f"{changes}: field is immutable")

    def _watch(self, query):
        state, sent = self.emulator.state, int(query["resourceVersion"])
        wanted = dict([query["labelSelector"].split("=")])
        end = time.monotonic() + float(query["timeoutSeconds"])
        self._begin()
        if self.fault and self.fault.kind == "expire":
            expired = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            self._line(json.dumps({"type": "ERROR", "object": expired}))
            return self._end()
        while time.monotonic() < end and not self.emulator.stopped.is_set():
            with state.changed:
                while state.version == sent and not self.emulator.stopped.is_set() and time.monotonic() < end:
                    state.changed.wait(0.5)
                events = [(event, pod) for version, event, pod in state.events if version > sent]
                sent = state.version
            for event, pod in events:
                if has_labels(pod, wanted) and not self._line(json.dumps({"type": event, "object": pod})):
                    return None
        return self._end()

    def _log(self, name, query):
        state = self.emulator.state
        with state.changed:
            run = next((run for run in state.runs.values() if run.name == name and run.is_there()), None)
        if run is None:
            return self._status(404, f'pods "{name}" not found')
        if run.pod["status"]["phase"] == "Pending":
            return self._status(400, f'container "worker" in pod "{name}" is waiting to start: ContainerCreating')
        sent = 0 if "follow" in query else len(run.lines) - len(run.kept_lines())
        if "tailLines" in query:
            sent = max(sent, len(run.lines) - int(query["tailLines"]))
        self._begin("text/plain")
        while not self.emulator.stopped.is_set():
            with state.changed:
                last = run.has_ended() or "follow" not in query
                lines = run.lines[sent:]
                sent += len(lines)
            for stamp, text in lines:
                if not self._line(f"{stamp} {text}" if "timestamps" in query else text):
                    return None
            if last:
                break
            with state.changed:
                while len(run.lines) == sent and not run.has_ended() and not self.emulator.stopped.is_set():
                    state.changed.wait(0.5)
        return self._end()

    def _status(self, code, message, headers=None):
        kind = "Success" if code < 400 else "Failure"
        status = {"kind": "Status", "status": kind, "message": message, "reason": REASONS.get(code, ""), "code": code}
        self._json(code, status, headers)

    def _json(self, code, value, headers=None):
        if self.fault and self.fault.kind == "late":
            self.close_connection = True
            return
        text = json.dumps(value).encode()
        self.send_response(code)
        for name, header in {
            "Content-Length": len(text),
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            self.send_header(name, str(header))
        self.end_headers()
        self.wfile.write(text)

    def _begin(self, kind="application/json"):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _line(self, text):
        """Sends a line; returns False if the stream breaks off in the middle of it."""
        chunk = text.encode() + b"\n"
        cut = self.fault and self.fault.kind == "cut"
        broken = cut and self.left == 0
        self.left -= 1
        if broken:
            chunk = chunk[: len(chunk) // 2]
            self.close_connection = True
        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        return not broken

    def _end(self):
        self.wfile.write(b"0\r\n\r\n")
