"""The state of an emulated Kubernetes: Jobs, Services, pods and logs, with the Job controller and a kubelet."""

import copy
import datetime
import re
import threading
import time
import uuid
from collections import Counter, defaultdict

PLURALS = {
    "jobs": "Job",
    "services": "Service",
    "pods": "Pod",
    "events": "Event",
    "networkpolicies": "NetworkPolicy",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "configmaps": "ConfigMap",
    "serviceaccounts": "ServiceAccount",
    "resourcequotas": "ResourceQuota",
}
FALLBACK = "FallbackToLogsOnError"
INDEX = "batch.kubernetes.io/job-completion-index"


class Kubelet:
    """Runs pods. Each call gets a thread of its own, and may take any time."""

    def start(self, run):
        """Starts a new pod, and reports its states to `run`, a PodRun."""

    def stop(self, run):
        """Stops a running pod: SIGTERM, and SIGKILL after its grace. The pod exists until `run.ended`."""


class ScriptedKubelet(Kubelet):
    """Calls `script(run)` for each pod. A pod that the script leaves running ends by SIGTERM when it is stopped."""

    def __init__(self, script):
        self.script = script

    def start(self, run):
        self.script(run)
        run.left = True
        if run.stopping.is_set():
            run.ended(143)

    def stop(self, run):
        if run.left:
            run.ended(143)


class State:
    """Objects by kind and name, and their history."""

    def __init__(self, kubelet, namespace, clock):
        self.kubelet, self.namespace, self.clock = kubelet, namespace, clock
        self.changed = threading.Condition(threading.RLock())
        self.objects, self.runs = {}, {}  # (kind, name) -> object; pod's uid -> PodRun
        self.events = []  # (version, ADDED | MODIFIED | DELETED, object), of pods
        self.created = defaultdict(list)  # kind -> all objects ever created, in their first state
        self.listed = Counter()  # kind -> number of lists
        self.deadlines = []  # every activeDeadlineSeconds that a patch has set
        self.version = 0
        self.max_log = 10 << 20  # bytes: kubelet's containerLogMaxSize

    def list(self, kind, labels="", fields=""):
        labels, fields = (dict(part.split("=") for part in text.split(",") if part) for text in (labels, fields))
        with self.changed:
            self.listed[kind] += 1
            found = [o for (k, _), o in self.objects.items() if k == kind and has_labels(o, labels)]
            found = [o for o in found if all(field(o, path) == value for path, value in fields.items())]
            return copy.deepcopy(found), str(self.version)

    def get(self, kind, name):
        with self.changed:
            return copy.deepcopy(self.objects.get((kind, name)))

    def create(self, kind, manifest):
        """Returns the new object; None if there is one of that name."""
        with self.changed:
            made = copy.deepcopy(manifest)
            meta = made["metadata"]
            if (kind, meta["name"]) in self.objects:
                return None
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": self.date()}
            meta.setdefault("namespace", self.namespace)
            made.setdefault("status", {})
            self.objects[kind, meta["name"]] = made
            self.created[kind].append(copy.deepcopy(made))
            self.record("ADDED", made)
            if kind == "Job" and not made["spec"].get("suspend"):
                self.start_job(made)
            if owner_uids(made) and not self.owners(made):  # the owner is gone, or never existed
                self.remove(made)
            return copy.deepcopy(made)

    def start_job(self, job):
        """Starts the time and the pods of a Job, as the Job controller does when the Job is not suspended."""
        job["status"]["startTime"] = self.date()
        self.start_pods(job)
        self.watch_deadline(job)

    def admit(self, name):
        """Starts a suspended Job, as a queue does when there are machines."""
        with self.changed:
            job = self.objects["Job", name]
            job["spec"]["suspend"] = False
            self.record("MODIFIED", job)
            self.start_job(job)

    def suspend(self, name):
        """Suspends a running Job, as a queue does when another one needs the machines."""
        with self.changed:
            job = self.objects["Job", name]
            job["spec"]["suspend"] = True
            del job["status"]["startTime"]
            self.record("MODIFIED", job)
            for pod in self.pods_of(job):
                self.delete_pod(pod)

    def patch_job(self, name, changes):
        """Changes the deadline of a running Job; returns None if there is no Job, False for any other change."""
        with self.changed:
            found = self.objects.get(("Job", name))
            if found is None:
                return None
            seconds = changes.get("spec", {}).get("activeDeadlineSeconds")
            if changes != {"spec": {"activeDeadlineSeconds": seconds}} or not isinstance(seconds, int) or seconds < 0:
                return False
            found["spec"]["activeDeadlineSeconds"] = seconds
            self.deadlines.append(seconds)
            self.record("MODIFIED", found)
            self.watch_deadline(found)
            return copy.deepcopy(found)

    def watch_deadline(self, job):
        """Fails the Job at its deadline, as the Job controller does; the deadline may have moved by then."""
        with self.changed:
            if "startTime" not in job["status"]:  # suspended
                return
            start = datetime.datetime.fromisoformat(job["status"]["startTime"]).timestamp()
            end = start + job["spec"]["activeDeadlineSeconds"]
            if end <= self.clock.time():
                self.fail(job, "DeadlineExceeded", "Job was active longer than specified deadline")
            elif not job["status"].get("conditions") and self.objects.get(("Job", job["metadata"]["name"])) is job:
                self.clock.alarm(end, lambda: self.watch_deadline(job))

    def date(self):
        """Returns the time as Kubernetes writes it in objects."""
        return f"{datetime.datetime.fromtimestamp(self.clock.time(), datetime.UTC):%Y-%m-%dT%H:%M:%S}Z"

    def delete(self, kind, name, propagation="Background", uid=None):
        """Deletes an object; returns False if there is none, None if its uid is not `uid`."""
        with self.changed:
            found = self.objects.get((kind, name))
            if found is None:
                return False
            if uid not in (None, found["metadata"]["uid"]):
                return None
            if kind == "Pod":
                self.delete_pod(found)
            elif propagation == "Foreground" and self.pods_of(found):
                found["metadata"]["deletionTimestamp"] = now()
                self.record("MODIFIED", found)
                for pod in self.pods_of(found):
                    self.delete_pod(pod)
            else:
                self.remove(found, orphan=propagation == "Orphan")
            return True

    def delete_pod(self, pod):
        """Stops a running pod; removes any other."""
        run, meta = self.runs.get(pod["metadata"]["uid"]), pod["metadata"]
        if run is None or pod["status"]["phase"] != "Running":
            if run:
                run.stopping.set()
            self.remove(pod)
        elif "deletionTimestamp" not in meta:
            meta["deletionTimestamp"] = now()
            meta["deletionGracePeriodSeconds"] = pod["spec"]["terminationGracePeriodSeconds"]
            self.record("MODIFIED", pod)
            run.stopping.set()
            threading.Thread(target=self.kubelet.stop, args=[run], daemon=True).start()

    def remove(self, found, orphan=False):
        """Removes the object and its dependents."""
        if self.objects.pop((found["kind"], found["metadata"]["name"]), None) is None:
            return
        self.record("DELETED", found)
        if not orphan:
            for other in self.dependents(found):
                self.delete(other["kind"], other["metadata"]["name"])
        for owner in self.owners(found):
            self.sync(owner)

    def dependents(self, owner):
        return [o for o in list(self.objects.values()) if owner["metadata"]["uid"] in owner_uids(o)]

    def pods_of(self, owner):
        return [o for o in self.dependents(owner) if o["kind"] == "Pod"]

    def owners(self, found):
        return [o for o in self.objects.values() if o["metadata"]["uid"] in owner_uids(found)]

    def record(self, event, found):
        with self.changed:
            self.version += 1
            found["metadata"]["resourceVersion"] = str(self.version)
            if found["kind"] == "Pod":
                self.events.append((self.version, event, copy.deepcopy(found)))
            self.changed.notify_all()

    def start_pods(self, job):
        """Creates the pods of an Indexed Job, as the Job controller does."""
        name, spec = job["metadata"]["name"], job["spec"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"]}
        for index in range(spec["completions"]):
            pod = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(spec["template"])}
            pod["metadata"] |= {
                "name": f"{name}-{index}-{uuid.uuid4().hex[:5]}",
                "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
            }
            pod["metadata"].setdefault("annotations", {})[INDEX] = str(index)
            pod["metadata"].setdefault("labels", {}).update({"job-name": name, INDEX: str(index)})
            pod["spec"]["hostname"] = f"{name}-{index}"
            pod["status"] = {"phase": "Pending"}
            for container in pod["spec"]["containers"]:
                if not any(variable["name"] == "JOB_COMPLETION_INDEX" for variable in container["env"]):
                    reference = {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX}']"}}
                    container["env"].append({"name": "JOB_COMPLETION_INDEX", "valueFrom": reference})
            self.create("Pod", pod)
            run = PodRun(self, self.objects["Pod", pod["metadata"]["name"]], index)
            self.runs[run.uid] = run
            threading.Thread(target=self.kubelet.start, args=[run], daemon=True).start()

    def sync(self, job):
        """Ends a Job with backoffLimit 0, as the Job controller does: all its pods have to succeed."""
        if job["kind"] != "Job":
            return
        pods = self.pods_of(job)
        if "deletionTimestamp" in job["metadata"]:
            if not pods:
                self.remove(job)
            return
        if job["spec"].get("suspend"):
            return
        phases = [pod["status"]["phase"] for pod in pods]
        if phases.count("Succeeded") == job["spec"]["completions"]:
            self.finish(job, "Complete", "CompletionsReached", "")
        elif "Failed" in phases or len(pods) < job["spec"]["completions"]:
            self.fail(job, "BackoffLimitExceeded", "Job has reached the specified backoff limit")

    def fail(self, job, reason, message):
        with self.changed:
            if self.finish(job, "Failed", reason, message):
                for pod in self.pods_of(job):
                    if pod["status"]["phase"] in ("Pending", "Running"):
                        self.delete_pod(pod)

    def finish(self, job, kind, reason, message):
        """Sets the end of the Job; returns False if it had ended, or is gone."""
        if job["status"].get("conditions") or self.objects.get(("Job", job["metadata"]["name"])) is not job:
            return False
        job["status"]["conditions"] = [{"type": kind, "status": "True", "reason": reason, "message": message}]
        self.record("MODIFIED", job)
        return True


class PodRun:
    """A pod, with the methods by which a kubelet reports its states."""

    def __init__(self, state, pod, index):
        self.state, self.pod, self.index = state, pod, index
        self.uid, self.name = pod["metadata"]["uid"], pod["metadata"]["name"]
        self.stopping = threading.Event()  # the pod is told to stop
        self.left = False  # the script has returned
        self.lines = []  # (time, text)

    @property
    def manifest(self):
        """A copy of the pod's object."""
        return copy.deepcopy(self.pod)

    def environment(self):
        """Returns the container's variables as Kubernetes expands them."""
        found = {}
        for variable in self.pod["spec"]["containers"][0]["env"]:
            if "value" in variable:
                value = expanded(variable["value"], found)
            elif "secretKeyRef" in variable["valueFrom"]:
                value = "word"
            else:
                value = self._field(variable["valueFrom"]["fieldRef"]["fieldPath"])
            found[variable["name"]] = value
        return found

    def command(self):
        """Returns the container's command as Kubernetes expands it."""
        return [expanded(word, self.environment()) for word in self.pod["spec"]["containers"][0]["command"]]

    def kept_lines(self):
        """Returns the lines that the API hands out of a pod that has ended: those since the log's last rotation."""
        start = size = 0
        for index, (stamp, text) in enumerate(self.lines):
            if size > self.state.max_log:
                start, size = index, 0
            size += len(stamp) + len(" stdout F ") + len(text) + 1
        return self.lines[start:]

    def _field(self, path):
        """Returns a field of the pod, or an annotation."""
        annotation = re.fullmatch(r"metadata\.annotations\['(.*)'\]", path)
        return self.pod["metadata"]["annotations"][annotation[1]] if annotation else field(self.pod, path)

    def running(self, node="node-1"):
        self.pod["spec"]["nodeName"] = node
        self._set("Running", state={"running": {"startedAt": now()}})

    def waiting(self, reason, message):
        self._set("Pending", state={"waiting": {"reason": reason, "message": message}})

    def unschedulable(self, message, reason="Unschedulable", node=None):
        """Reports that no node has room; on `node` the scheduler makes room by preemption."""
        condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
        self._set("Pending", conditions=[condition], nominatedNodeName=node)

    def noted(self, reason, message):
        """Creates an Event about the pod."""
        of = {"kind": "Pod", "name": self.name, "uid": self.uid}
        name = f"{self.name}.{uuid.uuid4().hex[:5]}"
        event = {"kind": "Event", "metadata": {"name": name}, "involvedObject": of, "reason": reason}
        self.state.create("Event", event | {"message": message})

    def disrupted(self, reason, message):
        """Evicts the pod, as a drain or a preemption does."""
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        self._set(self.pod["status"]["phase"], conditions=[condition])
        self.state.delete("Pod", self.name)

    def ended(self, code, reason=None, message=""):
        """Reports the end of the process, with its termination message."""
        reason = reason or ("Completed" if code == 0 else "Error")
        if code and not message and self.pod["spec"]["containers"][0]["terminationMessagePolicy"] == FALLBACK:
            message = "\n".join(text for _, text in self.lines[-80:])[-2048:]
        state = {"exitCode": code, "reason": reason, "finishedAt": now(), "message": message}
        self._set("Failed" if code else "Succeeded", state={"terminated": state})

    def evicted(self, message):
        """Reports that the kubelet evicted the pod."""
        self._set("Failed", reason="Evicted", message=message)

    def log(self, text, stamp=None):
        with self.state.changed:
            self.lines.append((stamp or now(), text))
            self.state.changed.notify_all()

    def has_ended(self):
        return self.pod["status"]["phase"] in ("Succeeded", "Failed") or not self.is_there()

    def is_there(self):
        return self.state.objects.get(("Pod", self.name)) is self.pod

    def _set(self, phase, state=None, **status):
        with self.state.changed:
            if self.has_ended():
                return
            self.pod["status"] |= {"phase": phase, **status}
            if state:
                self.pod["status"]["containerStatuses"] = [
                    {"name": container["name"], "state": state} for container in self.pod["spec"]["containers"]
                ]
            self.state.record("MODIFIED", self.pod)
            for job in self.state.owners(self.pod):
                self.state.sync(job)
            if self.has_ended() and "deletionTimestamp" in self.pod["metadata"]:
                self.state.remove(self.pod)


def expanded(text, variables):
    """Expands $(NAME) of a known variable, and $$ to $."""
    return re.sub(r"\$\$|\$\((\w+)\)", lambda match: variables.get(match[1], match[0]) if match[1] else "$", text)


def has_labels(found, wanted):
    labels = found["metadata"].get("labels", {})
    return all(labels.get(name) == value for name, value in wanted.items())


def field(found, path):
    for name in path.split("."):
        found = found[name]
    return found


def owner_uids(found):
    return [owner["uid"] for owner in found["metadata"].get("ownerReferences", ())]


def now():
    """Returns the real time with nanoseconds, as Kubernetes writes it in logs."""
    nanoseconds = time.time_ns()
    seconds = datetime.datetime.fromtimestamp(nanoseconds // 10**9, datetime.UTC)
    return f"{seconds:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 10**9:09d}".rstrip("0") + "Z"
