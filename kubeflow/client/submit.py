"""Uploads the compiled pipeline, and starts a run."""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import kfp_server_api
import yaml

from kubeflow.client.api import Api, ApiError, where
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.revision import revision

PIPELINE = "vaeiaf"  # its name in Kubeflow
Item = TypeVar("Item")


class Package(NamedTuple):
    """A compiled pipeline."""

    path: str
    version: str  # a name of this package alone
    nodes: tuple[str, ...]  # names of its tasks


class Version(NamedTuple):
    """A version of the pipeline in Kubeflow."""

    pipeline_id: str
    version_id: str
    name: str


@contextlib.contextmanager
def compiled(cluster: Cluster) -> Iterator[Package]:
    """Compiles the pipeline for `cluster` into a temporary file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vaeiaf.yaml")
        write_package(path, cluster)
        with open(path, "rb") as file:
            content = file.read()
        spec = next(yaml.load_all(content, yaml.CSafeLoader))
        digest = hashlib.sha256(content).hexdigest()[:8]  # each cluster.yaml makes a package of its own
        yield Package(path, f"{revision()}-{digest}", _nodes(spec))


def _nodes(spec: dict[str, Any]) -> tuple[str, ...]:
    """Returns the names of the nodes' tasks. With a webhook they are below an exit handler's task."""
    below = {name: part["dag"]["tasks"] for name, part in spec.get("components", {}).items() if "dag" in part}
    tasks = spec["root"]["dag"]["tasks"]
    handled = [below[name] for task in tasks.values() if (name := task["componentRef"]["name"]) in below]
    return tuple(handled[0] if handled else tasks)


def write_package(path: str, cluster: Cluster) -> None:
    """Compiles the pipeline for `cluster` into the file `path`. Hides what TensorFlow prints about the machine."""
    sys.stderr.flush()
    stderr = os.dup(2)  # TensorFlow's native code writes there
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        from kubeflow.spec.compile import compile_to

        compile_to(path, cluster)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def upload(api: Api, package: Package) -> Version:
    """Returns the version of the pipeline that `package` is, and uploads it if Kubeflow does not have it.

    Raises:
      ApiError: a request failed.
    """
    pipeline = _find_or_make(lambda: find_pipeline(api), lambda: _create_pipeline(api))
    name = package.version

    def find() -> Version | None:
        found = _versions(api, pipeline, filter=where("display_name", name))
        return next((Version(pipeline, one.pipeline_version_id, name) for one in found), None)

    def make() -> Version:
        what, call = "upload a version of the pipeline", api.client.pipeline_uploads.upload_pipeline_version
        made = api.ask(what, call, package.path, name=name, pipelineid=pipeline)
        return Version(pipeline, made.pipeline_version_id, name)

    return _find_or_make(find, make)


def find_pipeline(api: Api) -> str | None:
    """Returns the id of our pipeline in the namespace; None before the first upload."""
    call = api.client.pipelines.pipeline_service_list_pipelines
    keywords = {"namespace": api.namespace, "filter": where("display_name", PIPELINE)}
    return next((one.pipeline_id for one in api.every("look for the pipeline", call, "pipelines", **keywords)), None)


def experiment_id(api: Api, name: str) -> str:
    """Returns the id of the experiment `name`, and creates it if there is none."""
    calls = api.client.experiments

    def find() -> str | None:
        call = calls.experiment_service_list_experiments
        keywords = {"namespace": api.namespace, "filter": where("display_name", name)}
        found = api.every("look for the experiment", call, "experiments", **keywords)
        return next((one.experiment_id for one in found), None)

    def make() -> str:
        wanted = kfp_server_api.V2beta1Experiment(display_name=name, namespace=api.namespace)
        call = calls.experiment_service_create_experiment
        return api.ask("create the experiment", call, wanted).experiment_id

    return _find_or_make(find, make)


def start(api: Api, version: Version, experiment: str, parameters: Mapping[str, Any], account: str) -> str:
    """Starts a run of `version` and returns its id. An empty service account is Kubeflow's choice."""
    run = kfp_server_api.V2beta1Run(
        experiment_id=experiment,
        display_name=f"{parameters.get('dataset', PIPELINE)} {version.name}",
        pipeline_version_reference=reference(version),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(parameters)),
        service_account=account,
    )
    return api.ask("start a run", api.client.runs.run_service_create_run, run).run_id


def reference(version: Version) -> Any:
    """Returns the API's reference to `version`, which later uploads do not change."""
    return kfp_server_api.V2beta1PipelineVersionReference(
        pipeline_id=version.pipeline_id, pipeline_version_id=version.version_id
    )


def versions(api: Api, pipeline: str) -> dict[str, str]:
    """Returns the names of all versions of the pipeline, by id."""
    return {one.pipeline_version_id: one.display_name for one in _versions(api, pipeline)}


def _find_or_make(find: Callable[[], Item | None], make: Callable[[], Item]) -> Item:
    """Returns what `find` finds or `make` makes. If another process made it at the same moment, finds theirs."""
    found = find()
    if found:
        return found
    try:
        return make()
    except ApiError as error:
        found = find() if error.status == 409 else None
        if not found:
            raise
        return found


def _create_pipeline(api: Api) -> str:
    wanted = kfp_server_api.V2beta1Pipeline(
        display_name=PIPELINE,
        namespace=api.namespace,
        description="Retrains a VAE/IAF and pushes it if its test-set ELBO allows.",
    )
    call = api.client.pipelines.pipeline_service_create_pipeline
    return api.ask("create the pipeline", call, wanted).pipeline_id


def _versions(api: Api, pipeline: str, **keywords: str) -> Iterator[Any]:
    call = api.client.pipelines.pipeline_service_list_pipeline_versions
    what = "look at the pipeline's versions"
    return api.every(what, call, "pipeline_versions", pipeline_id=pipeline, **keywords)
