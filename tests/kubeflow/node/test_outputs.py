"""What is written is read back by Kubeflow Pipelines' own code."""

import json
import pathlib

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler, dsl
from kfp.local.executor_output_utils import get_outputs_for_task
from kfp.pipeline_spec import pipeline_spec_pb2

from components.pages.views import View
from kubeflow.node.outputs import write_outputs
from trainer.errors import StorageError

VIEW = View("<!doctype html><p>naïve", {"elbo_nats_per_image": -1850.25, "blessed": 1.0})
VIEWS = {"Evaluator": View(None, VIEW.metrics), "Report": View(VIEW.html, {})}


@dsl.container_component
def node(report_page: dsl.Output[dsl.HTML], evaluation_metrics: dsl.Output[dsl.Metrics]):
    return dsl.ContainerSpec(image="none", command=["true"], args=[report_page.path, evaluation_metrics.path])


def executor_input(root, file, names=("report_page", "evaluation_metrics")):
    """As the launcher substitutes `{{$}}`."""
    artifacts = {
        name: {
            "artifacts": [
                {
                    "name": name,
                    "type": {
                        "schemaTitle": "system.Metrics" if "metrics" in name else "system.HTML",
                        "schemaVersion": "0.0.1",
                    },
                    "uri": f"{root}/task/{name}",
                    "metadata": {},
                }
            ]
        }
        for name in names
    }
    return {"inputs": {}, "outputs": {"artifacts": artifacts, "outputFile": str(file)}}


def read_back(given, tmp_path):
    """The outputs of the task as KFP's local runner finds them."""
    compiler.Compiler().compile(node, str(tmp_path / "node.yaml"))
    ir = pipeline_spec_pb2.PipelineSpec()
    json_format.ParseDict(yaml.safe_load((tmp_path / "node.yaml").read_text()), ir)
    parsed = json_format.ParseDict(given, pipeline_spec_pb2.ExecutorInput())
    return get_outputs_for_task(parsed, ir.components["comp-node"])


def test_kubeflow_finds_the_page_and_the_numbers(tmp_path):
    given = executor_input(tmp_path / "root", tmp_path / "new/folder/executor_output.json")
    write_outputs(given, VIEWS)
    found = read_back(given, tmp_path)
    assert type(found["report_page"]) is dsl.HTML
    assert pathlib.Path(found["report_page"].path).read_text() == VIEW.html
    assert type(found["evaluation_metrics"]) is dsl.Metrics
    assert found["evaluation_metrics"].metadata == VIEW.metrics
    assert found["evaluation_metrics"].uri == f"{tmp_path}/root/task/evaluation_metrics"


def test_a_task_of_version_0_1_has_one_page_and_one_set_of_numbers(tmp_path):
    write_outputs(executor_input(tmp_path, tmp_path / "out.json", names=["html", "metrics"]), {"Trainer": VIEW})
    assert (tmp_path / "task/html").read_text() == VIEW.html
    written = json.loads((tmp_path / "out.json").read_text())["artifacts"]
    assert written["metrics"]["artifacts"][0]["metadata"] == VIEW.metrics


@pytest.mark.parametrize(
    ("scheme", "constant"),
    [("minio", "_MINIO_LOCAL_MOUNT_PREFIX"), ("s3", "_S3_LOCAL_MOUNT_PREFIX"), ("gs", "_GCS_LOCAL_MOUNT_PREFIX")],
)
def test_in_an_object_store_the_page_goes_where_the_launcher_takes_it_from(tmp_path, monkeypatch, scheme, constant):
    monkeypatch.setattr(f"kfp.dsl.types.artifact_types.{constant}", f"{tmp_path}/mount/")
    write_outputs(executor_input(f"{scheme}://bucket/run", tmp_path / "out.json"), VIEWS)
    assert (tmp_path / "mount/bucket/run/task/report_page").read_text() == VIEW.html
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["artifacts"]["report_page"]["artifacts"][0]["uri"] == f"{scheme}://bucket/run/task/report_page"


def test_a_task_without_outputs_writes_an_empty_file(tmp_path):
    write_outputs({"outputs": {"outputFile": str(tmp_path / "out.json")}}, {})
    assert json.loads((tmp_path / "out.json").read_text()) == {"artifacts": {}}


def test_what_a_task_does_not_declare_is_not_written(tmp_path):
    write_outputs(executor_input(tmp_path, tmp_path / "out.json", names=["evaluation_metrics"]), VIEWS)
    assert list(json.loads((tmp_path / "out.json").read_text())["artifacts"]) == ["evaluation_metrics"]
    assert not (tmp_path / "task").exists()


def test_a_number_that_json_does_not_know_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_outputs(
            executor_input(tmp_path, tmp_path / "out.json"), {"Evaluator": View(None, {"elbo": float("nan")})}
        )
    assert not (tmp_path / "out.json").exists()


def test_a_page_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "task").write_text("a file where a folder must be")
    with pytest.raises(StorageError) as error:
        write_outputs(executor_input(tmp_path, tmp_path / "out.json"), VIEWS)
    assert error.value.failure.value == f"{tmp_path}/task/report_page"
    assert error.value.failure.sentence.startswith("the node's page cannot be written to ")


def test_nothing_unfinished_is_left(tmp_path):
    write_outputs(executor_input(tmp_path / "root", tmp_path / "out.json"), VIEWS)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"report_page", "out.json"}
