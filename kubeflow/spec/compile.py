"""Compiles the tasks into a native pipeline of Kubeflow Pipelines v2: a container component for each one."""

import contextlib
import inspect
import json
import re
from collections.abc import Callable
from typing import Any

from kfp import compiler, dsl, kubernetes
from kfp.dsl.base_component import BaseComponent
from kfp.dsl.pipeline_task import PipelineTask

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.contract import ARGO_NODE, ARGO_NODE_FIELD, METRICS, OWNER, PAGES, PASSWORD, RUN_ID
from kubeflow.spec.parameters import ABOUT, parameters
from kubeflow.spec.pod import PodSettings
from kubeflow.spec.tasks import NOTIFY, NOTIFY_TITLE, TASKS, nodes_of
from pipeline.settings import NOTIFY_SECRET

NAME = "vaeiaf"
MOUNTS: dict[str, Callable[[PipelineTask, str, str], PipelineTask]] = {
    "claim": kubernetes.mount_pvc,
    "secret": kubernetes.use_secret_as_volume,
    "config_map": kubernetes.use_config_map_as_volume,
}


def compile_to(path: str, cluster: Cluster) -> None:
    """Writes the pipeline as YAML to `path`, for `vaeiaf submit` or for an upload in the UI."""
    compiler.Compiler().compile(build(cluster), path)


def build(cluster: Cluster) -> BaseComponent:
    """Builds the pipeline, whose parameters are those of the form.

    Raises:
      SettingError: Beam refuses an argument in `beam.args`.
    """
    if cluster.beam.args:
        from pipeline.beam.arguments import beam_args  # its import takes seconds

        beam_args(cluster.beam.arguments, setting="beam.args")
    form = {name: (found.kind, found.default, found.help) for name, found in parameters().items()}

    def pipeline(*values: Any) -> None:
        given = dict(zip(form, values, strict=True))
        before: list[PipelineTask] = []

        def add(name: str) -> PipelineTask:
            return configure(component(name, cluster)(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, **given), name, cluster)

        with dsl.ExitHandler(add(NOTIFY), name="Run") if cluster.notify else contextlib.nullcontext():
            for name in TASKS:
                before = [add(name).after(*before)]

    built = dsl.pipeline(name=NAME, display_name="Retraining of a VAE with IAF", description=ABOUT)(
        declare(pipeline, NAME, form)
    )
    if cluster.drop_downs:  # KFP's SDK has no way to say it
        for name, entry in built.pipeline_spec.root.input_definitions.parameters.items():
            for choice in parameters()[name].choices:
                entry.literals.add(string_value=choice)
    # KFP's SDK allows an hour at most for all attempts. Argo counts from the start of the first one.
    for part in (built.pipeline_spec.root, *built.pipeline_spec.components.values()):  # an exit handler's are apart
        for task in part.dag.tasks.values():
            if task.HasField("retry_policy"):
                task.retry_policy.backoff_max_duration.FromSeconds(cluster.retries.within_seconds)
    return built


def component(name: str, cluster: Cluster) -> BaseComponent:
    """Makes the container of a task. It gets all parameters, in the executor input that Kubeflow writes."""
    pod = cluster.tasks.get(name, cluster.pod)
    known = cluster.to_dict()
    if name != NOTIFY:
        del known["notify"]  # no other task needs it
    settings = json.dumps(known, separators=(",", ":"))

    def run(*_: Any) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=pod.image or cluster.image,
            command=["python", "-P", "-m", "kubeflow.node.notify" if name == NOTIFY else "kubeflow.run_node"],
            args=["--node", name, "--cluster", settings, "--executor-input", "{{$}}"],
        )

    kinds: dict[str, Any] = {RUN_ID: str} | {name: found.kind for name, found in parameters().items()}
    for node in nodes_of(name):
        kinds |= {PAGES[node]: dsl.Output[dsl.HTML]} if node in PAGES else {}
        kinds |= {METRICS[node]: dsl.Output[dsl.Metrics]} if node in METRICS else {}
    arguments = {argument: (kind, inspect.Parameter.empty, "") for argument, kind in kinds.items()}
    return dsl.container_component(declare(run, name, arguments))


def configure(task: PipelineTask, name: str, cluster: Cluster) -> PipelineTask:
    """Sets the task's title in the UI, its pod, and the retries of a lost pod; see `kubeflow.node.supervisor`."""
    task.set_display_name(TASKS[name].title if name in TASKS else NOTIFY_TITLE)
    task.set_caching_options(False)  # TFX's cache knows the content of inputs
    if name != NOTIFY:
        policy = cluster.retries
        task.set_retry(policy.count, f"{policy.seconds}s", policy.factor)
        kubernetes.use_field_path_as_env(task, env_name=ARGO_NODE, field_path=ARGO_NODE_FIELD)
    _pod(task, cluster.tasks.get(name, cluster.pod))
    kubernetes.mount_pvc(task, pvc_name=cluster.volume.claim, mount_path=cluster.volume.path)
    kubernetes.add_pod_annotation(task, "vaeiaf/task", name)
    if cluster.database.kind != "sqlite":
        kubernetes.use_secret_as_env(task, cluster.database.secret, {"password": PASSWORD})
    if name == NOTIFY and cluster.notify and (secret := cluster.notify.secret):
        # Optional: a pod without its Secret would never start, and the run would never end.
        kubernetes.use_secret_as_env(task, secret.name, {secret.key: NOTIFY_SECRET}, optional=True)
    if "Trainer" in nodes_of(name):  # the pod owns those of the workers
        for variable, path in OWNER.items():
            kubernetes.use_field_path_as_env(task, env_name=variable, field_path=path)
    return task


def _pod(task: PipelineTask, pod: PodSettings) -> None:
    task.set_cpu_request(pod.cpu).set_memory_request(pod.memory).set_memory_limit(pod.memory_limit or pod.memory)
    if pod.cpu_limit is not None:
        task.set_cpu_limit(pod.cpu_limit)
    if pod.accelerators:
        task.set_accelerator_type(pod.accelerator).set_accelerator_limit(pod.accelerators)
    for key, value in pod.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in pod.tolerations:
        kubernetes.add_toleration(task, **{_snake(name): value for name, value in toleration.items()})
    _environment(task, pod)
    for key, value in pod.labels.items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in pod.annotations.items():
        kubernetes.add_pod_annotation(task, key, value)
    if pod.pull_secrets:
        kubernetes.set_image_pull_secrets(task, pod.pull_secrets)
    for volume in pod.volumes:
        MOUNTS[volume.kind](task, volume.name, volume.path)


def _environment(task: PipelineTask, pod: PodSettings) -> None:
    for name, value in pod.env.items():
        task.set_env_variable(name, value)
    for name, wanted in pod.env_from_secret.items():
        kubernetes.use_secret_as_env(task, wanted.name, {wanted.key: name})


def declare(function: Callable, name: str, arguments: dict[str, tuple[Any, Any, str]]) -> Callable:
    """Gives `function` a name and a signature: argument -> (type, default, description)."""
    function.__name__ = name
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(argument, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
            for argument, (kind, default, _) in arguments.items()
        ]
    )
    lines = [f"    {argument}: {text}" for argument, (*_, text) in arguments.items() if text]
    function.__doc__ = "\n".join([f"{name}.", "", "Args:", *lines])
    return function


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()
