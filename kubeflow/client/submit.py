"""Uploads the compiled pipeline, and starts a run."""

import dataclasses
import hashlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import kfp_server_api

from kubeflow.client.api import Api, ApiError, where
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.parameters import ABOUT, description
from pipeline.console import redirected
from pipeline.revision import revision

PIPELINE = "vaeiaf"  # its name in Kubeflow
STRANGE = "unknown template format"  # what Kubeflow Pipelines before 2.16 says of a pipeline with drop-downs


class Version(NamedTuple):
    """A version of the pipeline in Kubeflow."""

    name: str
    reference: Any  # to it, as the API wants it; later uploads do not change it


def write_package(path: str, cluster: Cluster) -> None:
    """Compiles the pipeline for `cluster` into the file `path`. Hides what TensorFlow prints about the machine."""
    sys.stderr.flush()
    with open(os.devnull, "w") as nothing, redirected(2, nothing):  # TensorFlow's native code writes there
        from kubeflow.spec.compile import compile_to

        compile_to(path, cluster)


def version_name(path: str) -> str:
    """Returns the name of the version that the compiled pipeline at `path` is; each cluster.yaml makes another."""
    return f"{revision()}-{hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:8]}"


def upload(api: Api, cluster: Cluster) -> Version:
    """Compiles the pipeline for `cluster`, uploads it if Kubeflow does not have it, and returns its version.

    An old Kubeflow gets no drop-downs.

    Raises:
      ApiError: a request failed.
    """
    try:
        return _upload(api, cluster)
    except ApiError as error:
        if not cluster.drop_downs or STRANGE not in error.failure.cause:
            raise
        return _upload(api, dataclasses.replace(cluster, drop_downs=False))


def _upload(api: Api, cluster: Cluster) -> Version:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vaeiaf.yaml")
        write_package(path, cluster)
        name = version_name(path)
        pipeline = _id(lambda: find_pipeline(api), lambda: _create_pipeline(api))

        def find() -> str | None:
            found = _versions(api, pipeline, filter=where("display_name", name))
            return next((one.pipeline_version_id for one in found), None)

        def make() -> str:
            call = api.client.pipeline_uploads.upload_pipeline_version
            what = "upload a version of the pipeline"
            return api.ask(
                what, call, path, name=name, pipelineid=pipeline, description=description()
            ).pipeline_version_id

        ids = {"pipeline_id": pipeline, "pipeline_version_id": _id(find, make)}
        return Version(name, kfp_server_api.V2beta1PipelineVersionReference(**ids))


def find_pipeline(api: Api) -> str | None:
    """Returns the id of our pipeline in the namespace; None before the first upload."""
    call = api.client.pipelines.pipeline_service_list_pipelines
    return next((one.pipeline_id for one in _named(api, "pipeline", call, PIPELINE)), None)


def experiment_id(api: Api, name: str) -> str:
    """Returns the id of the experiment `name`, and creates it if there is none."""
    calls = api.client.experiments

    def find() -> str | None:
        found = _named(api, "experiment", calls.experiment_service_list_experiments, name)
        return next((one.experiment_id for one in found), None)

    def make() -> str:
        wanted = kfp_server_api.V2beta1Experiment(display_name=name, namespace=api.namespace)
        call = calls.experiment_service_create_experiment
        return api.ask("create the experiment", call, wanted).experiment_id

    return _id(find, make)


def start(api: Api, version: Version, experiment: str, parameters: Mapping[str, Any], account: str) -> str:
    """Starts a run of `version` and returns its id. An empty service account is Kubeflow's choice."""
    run = kfp_server_api.V2beta1Run(
        experiment_id=experiment,
        display_name=f"{parameters.get('data') or parameters.get('dataset', PIPELINE)} {version.name}",
        pipeline_version_reference=version.reference,
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(parameters)),
        service_account=account,
    )
    return api.ask("start a run", api.client.runs.run_service_create_run, run).run_id


def versions(api: Api, pipeline: str) -> dict[str, str]:
    """Returns the names of all versions of the pipeline, by id."""
    return {one.pipeline_version_id: one.display_name for one in _versions(api, pipeline)}


def _named(api: Api, kind: str, call: Callable[..., Any], name: str) -> Iterator[Any]:
    """Yields the things of this kind and name in the namespace."""
    keywords = {"namespace": api.namespace, "filter": where("display_name", name)}
    return api.every(f"look for the {kind}", call, f"{kind}s", **keywords)


def _id(find: Callable[[], str | None], make: Callable[[], str]) -> str:
    """Returns the id that `find` finds or `make` makes. If another process made it at the same moment, finds theirs."""
    try:
        return find() or make()
    except ApiError as error:
        if error.status == 409 and (theirs := find()):
            return theirs
        raise


def _create_pipeline(api: Api) -> str:
    wanted = kfp_server_api.V2beta1Pipeline(
        display_name=PIPELINE,
        namespace=api.namespace,
        description=ABOUT,
    )
    call = api.client.pipelines.pipeline_service_create_pipeline
    return api.ask("create the pipeline", call, wanted).pipeline_id


def _versions(api: Api, pipeline: str, **keywords: str) -> Iterator[Any]:
    call = api.client.pipelines.pipeline_service_list_pipeline_versions
    what = "look at the pipeline's versions"
    return api.every(what, call, "pipeline_versions", pipeline_id=pipeline, **keywords)
