"""The pipeline on Prism, with workers in other processes; needs its program, see `prism.binary`."""

import glob
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import apache_beam as beam
import grpc
import pytest
import tensorflow as tf
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc

import prism
from pipeline.beam.arguments import job_prefix
from pipeline.beam.job_service import NAME

pytestmark = pytest.mark.slow

NODES = ("ImageExampleGen", "StatisticsGen", "Evaluator")


@pytest.fixture(scope="module")
def beam_arguments(tmp_path_factory):
    """The arguments that name a running Prism."""
    if not (program := prism.binary()):
        pytest.skip(f"LEFT OUT: no run on Prism, which `make test-beam` builds with Go; or name it in {prism.PRISM}")
    with prism.engine(program, tmp_path_factory.mktemp("prism")) as arguments:
        yield arguments


@pytest.fixture
def command(tmp_path):
    """The command of a run, and its environment."""
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}

    def start(root, *arguments):
        options = ["run", "--dataset=photo_patches", "--preset=smoke", "--epochs=1", f"--root={root}"]
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", *options, *(f"--beam-arg={argument}" for argument in arguments)],
            env=environment,
            start_new_session=True,
        )

    return start


def jobs(arguments):
    """The jobs that Prism knows: name and state by id."""
    (endpoint,) = (argument.partition("=")[2] for argument in arguments if argument.startswith("--job_endpoint="))
    with grpc.insecure_channel(endpoint) as channel:
        found = beam_job_api_pb2_grpc.JobServiceStub(channel).GetJobs(api.GetJobsRequest(), timeout=10).job_info
    return {
        job.job_id: (job.pipeline_options.fields[NAME].string_value, api.JobState.Enum.Name(job.state)) for job in found
    }


def running(arguments, before, process):
    """Waits for a job that is not among `before` and runs; returns its id."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        for job, (_, state) in jobs(arguments).items():
            if job not in before and state == "RUNNING":
                return job
        time.sleep(0.1)
    raise AssertionError(f"no new job runs: {jobs(arguments)}")


def examples(root, split):
    """The Examples of a split, sorted."""
    files = glob.glob(f"{root}/artifacts/*/ImageExampleGen/examples/*/Split-{split}/*")
    return sorted(record.numpy() for record in tf.data.TFRecordDataset(files, compression_type="GZIP"))


def elbo(root):
    """The numbers of the model and of the gate, as the Evaluator wrote them."""
    (path,) = glob.glob(f"{root}/artifacts/*/Trainer/model_run/*/history.json")
    (gate,) = glob.glob(f"{root}/artifacts/*/Evaluator/evaluation/*/metrics*")
    from tensorflow_model_analysis import load_metrics

    (whole,) = [found for found in load_metrics(os.path.dirname(gate)) if not found.slice_key.single_slice_keys]
    metrics = {
        found.key.name: found.value.double_value.value for found in whole.metric_keys_and_values if found.key.name
    }
    return json.loads(pathlib.Path(path).read_text())["test"]["elbo"], metrics


def files(root):
    """The state of all files, but not of logs."""
    found = [path for path in pathlib.Path(root).rglob("*") if path.is_file() and "logs" not in path.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_prism_gives_the_examples_and_the_elbo_of_a_run_in_process(beam_arguments, command, tmp_path):
    assert command(tmp_path / "prism", *beam_arguments).wait() == 0
    names = {name for name, state in jobs(beam_arguments).values() if state == "DONE"}
    assert len(names) == len(NODES)
    assert {name.rpartition("-")[2] for name in names} == {node.lower() for node in NODES}
    left = [path.name for path in (tmp_path / "temporary").iterdir()]
    assert [name for name in left if not name.endswith("tfds")] == [], "TFDS leaves folders, Beam and TFX do not"

    assert command(tmp_path / "process").wait() == 0
    for split, count in (("train", 6000), ("test", 1000)):
        expected = examples(tmp_path / "process", split)
        assert len(expected) == count
        assert examples(tmp_path / "prism", split) == expected
    (ours, expected), (theirs, found) = elbo(tmp_path / "process"), elbo(tmp_path / "prism")
    assert theirs == ours
    assert found == pytest.approx(expected, rel=1e-9)
    assert "elbo" in found


def test_an_interrupted_run_leaves_no_job_that_writes(beam_arguments, command, tmp_path):
    before = jobs(beam_arguments)
    process = command(tmp_path / "root", *beam_arguments)
    job = running(beam_arguments, before, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert jobs(beam_arguments)[job][1] == "CANCELLED"
    left = files(tmp_path / "root")
    time.sleep(5)
    assert files(tmp_path / "root") == left


def test_the_job_of_a_killed_run_is_cancelled_by_the_next(beam_arguments, command, tmp_path):
    name = f"{job_prefix('vaeiaf-photo-patches', str(tmp_path / 'root'), '')}-imageexamplegen"
    before = jobs(beam_arguments)
    orphan_pipeline = beam.Pipeline(argv=[*beam_arguments, f"--job_name={name}"])
    _ = orphan_pipeline | beam.Create([3600]) | beam.Map(time.sleep)
    orphan_pipeline.run()  # without waiting: nobody follows this job any more
    (orphan,) = jobs(beam_arguments).keys() - before
    process = command(tmp_path / "root", *beam_arguments)
    successor = running(beam_arguments, {*before, orphan}, process)
    found = jobs(beam_arguments)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert found[orphan] == (name, "CANCELLED")
    assert found[successor] == (name, "RUNNING")
