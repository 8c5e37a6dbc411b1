"""Finds what is known to break on a cluster, though it compiles and runs locally."""

import re

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # of labels and pods
PARAMETER = re.compile(r"[a-z][a-z0-9_]*")
# The whole executor input, or a run's id as the whole value of an input. Others work on the local runner only.
PLACEHOLDERS = {"args": {"{{$}}"}, "inputs": {"{{$.pipeline_job_uuid}}"}}
ARGUMENT_BYTES = 128 * 1024  # Linux's limit of one argument, after Kubeflow has expanded the placeholders
EXPANDED_BYTES = 16 * 1024  # of one placeholder, at most
DAY = 24 * 3600
OUTPUTS = {"system.HTML", "system.Metrics"}


def problems(ir, platform):
    """Returns a sentence for each thing that is wrong with a compiled pipeline and its platform's part."""
    return [
        *_header(ir),
        *_parameters(ir),
        *(
            problem
            for part in _graphs(ir)
            for name, task in _tasks(part).items()
            for problem in _task(name, task, part, ir)
        ),
        *(problem for name, component in ir["components"].items() for problem in _component(name, component, ir)),
        *(problem for name, executor in _executors(ir).items() for problem in _executor(name, executor)),
        *_platform(ir, platform),
    ]


def _graphs(ir):
    """The root, and the components that are graphs, as those of an exit handler."""
    return [part for part in (ir["root"], *ir["components"].values()) if "dag" in part]


def _tasks(part):
    return part["dag"]["tasks"]


def _executors(ir):
    return ir["deploymentSpec"]["executors"]


def _header(ir):
    if ir.get("schemaVersion") != "2.1.0":
        yield f"schemaVersion {ir.get('schemaVersion')}: the backends know 2.1.0"
    if not NAME.fullmatch(ir["pipelineInfo"]["name"]):
        yield f"pipeline {ir['pipelineInfo']['name']}: no name of Kubernetes"
    if "artifacts" in ir["root"].get("inputDefinitions", {}):
        yield "the pipeline takes an artifact, which no schedule can give"


def _parameters(ir):
    for name, spec in ir["root"]["inputDefinitions"]["parameters"].items():
        if not PARAMETER.fullmatch(name):
            yield f"parameter {name}: no plain name"
        if "defaultValue" not in spec:
            yield f"parameter {name}: no default"
        if not spec.get("description"):
            yield f"parameter {name}: no description"


def _task(name, task, part, ir):
    if not NAME.fullmatch(name):
        yield f"task {name}: no name of Kubernetes"
    if not re.fullmatch(r"[\w -]+", task["taskInfo"]["name"]):
        yield f"task {name}: shown as {task['taskInfo']['name']}, not only letters, digits and spaces"
    if task.get("cachingOptions", {}).get("enableCache"):
        yield f"task {name}: cached by Kubeflow, which does not know what goes in"
    for before in task.get("dependentTasks", []):
        if before not in _tasks(part):
            yield f"task {name}: runs after {before}, which is none"
    yield from _retries(name, task.get("retryPolicy"))
    given = task.get("inputs", {}).get("parameters", {})
    for parameter, value in given.items():
        text = str(value.get("runtimeValue", {}).get("constant", ""))
        if "{{" in text and text not in PLACEHOLDERS["inputs"]:
            yield f"task {name}: input {parameter} is {text}"
        if "componentInputParameter" in value and value["componentInputParameter"] not in _inputs(part):
            yield f"task {name}: input {parameter} comes from nowhere"
    for parameter in _inputs(ir["components"][task["componentRef"]["name"]]):
        if parameter not in given:
            yield f"task {name}: input {parameter} is not given"


def _retries(name, policy):
    """Argo's maxDuration runs from the start of the first attempt to the end of the last; its factor is an int."""
    if policy and int(policy["backoffMaxDuration"].removesuffix("s")) < DAY:
        yield f"task {name}: whatever took longer than {policy['backoffMaxDuration']} is not tried again"
    if policy and policy["backoffFactor"] != int(policy["backoffFactor"]):
        yield f"task {name}: a factor of {policy['backoffFactor']}, which is no whole number"


def _inputs(component):
    return component.get("inputDefinitions", {}).get("parameters", {})


def _component(name, component, ir):
    if not NAME.fullmatch(name):
        yield f"component {name}: no name of Kubernetes"
    if "dag" not in component and component.get("executorLabel") not in _executors(ir):
        yield f"component {name}: has no executor"
    for output, spec in component.get("outputDefinitions", {}).get("artifacts", {}).items():
        if spec["artifactType"]["schemaTitle"] not in OUTPUTS:
            yield f"component {name}: output {output} is of a kind that the UI does not show"


def _executor(name, executor):
    if set(executor) != {"container"}:
        yield f"executor {name}: is no container, but {', '.join(executor)}"
        return
    container = executor["container"]
    for text in [*container.get("command", []), *container.get("args", [])]:
        placeholders = set(re.findall(r"\{\{\$.*?\}\}", text))
        if placeholders - PLACEHOLDERS["args"] or (placeholders and text not in placeholders):
            yield f"executor {name}: argument with {', '.join(placeholders)}"
        if len(text.encode()) >= ARGUMENT_BYTES - EXPANDED_BYTES * len(placeholders):
            yield f"executor {name}: an argument of {len(text.encode())} bytes"


def _platform(ir, platform):
    known = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name in _executors(ir):
        if not known.get(name, {}).get("pvcMount"):
            yield f"executor {name}: mounts no volume"
        if not known.get(name, {}).get("secretAsEnv"):
            yield f"executor {name}: has no password of the database"
