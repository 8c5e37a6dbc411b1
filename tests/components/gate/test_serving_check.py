"""The check of a model by a fresh process: of the real one, and of processes that end in other ways."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.gate import serving_probe, serving_process
from components.gate.serving_check import ServingCheck, check
from components.gate.serving_record import Serving, read_serving
from components.train.code import OWN
from series import probe_here
from trainer.errors import ReportedError
from trainer.export import Servable, save
from trainer.failure import Kind
from trainer.images import preprocessing
from trainer.model.build import build
from trainer.model.likelihoods.pixels import PixelModel
from trainer.shape import Shape
from trainer.signatures import SIGNATURES
from trainer.units import Units

SHAPE = Shape(32, 32, 3)


@pytest.fixture
def copy(exported, tmp_path):
    """A copy of a model, to break."""
    return pathlib.Path(shutil.copytree(exported, tmp_path / "model/Format-Serving"))


@pytest.fixture
def here(monkeypatch):
    """Does the work of the process in this one."""
    monkeypatch.setattr(serving_process, "_run", probe_here)
    monkeypatch.setattr(serving_probe, "SECONDS", 0.0)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Replaces the program of the process."""

    def replace(text):
        (tmp_path / "program.py").write_text(text)
        monkeypatch.setattr(serving_probe, "__file__", str(tmp_path / "program.py"))

    return replace


@pytest.mark.slow
def test_a_fresh_process_without_our_code_finds_that_a_model_can_be_served(copy, tmp_path, monkeypatch):
    spied = tmp_path / "modules.json"
    spy = f"\n    import json\n    open({str(spied)!r}, 'w').write(json.dumps(sorted(sys.modules)))\n"
    (tmp_path / "program.py").write_text(pathlib.Path(serving_probe.__file__).read_text() + spy)
    monkeypatch.setattr(serving_probe, "__file__", str(tmp_path / "program.py"))
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = str(tmp_path / "blessing")
    model = standard_artifacts.Model()
    model.uri = str(copy.parent)
    ServingCheck.EXECUTOR_SPEC.executor_class().Do({"model": [model]}, {"blessing": [blessing]}, {})
    found = read_serving(blessing.uri)
    assert (found.reasons, found.answers) == ([], True)
    assert blessing.get_int_custom_property("blessed") == 1
    assert 0.0 < found.loaded_seconds < 600.0
    assert found.elbo_difference < 0.01
    assert set(found.latency) == set(SIGNATURES)
    assert all(0.0 < one.median <= one.most for sizes in found.latency.values() for one in sizes.values())
    loaded = {name.partition(".")[0] for name in json.loads(spied.read_text())}
    assert loaded.isdisjoint({*OWN, "pipeline", "kubeflow", "tfx"})


def test_a_model_that_cannot_be_loaded_has_no_numbers(copy, here):
    (copy / "saved_model.pb").write_bytes(b"damaged")
    found = check(str(copy))
    (reason,) = found.reasons
    assert reason.startswith("a fresh process cannot load the model: ")
    assert found == Serving([reason], False, None, None, {})


def test_a_signature_that_fails_is_named(copy, here):
    """The answers are those of a request that the model refuses."""
    (copy / "assets.extra/tf_serving_warmup_requests").rename(copy / "requests")
    log = serving_probe.logs.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "encode"
    log.predict_log.request.inputs["images"].CopyFrom(tf.make_tensor_proto(np.array([b"no image"], object)))
    with tf.io.TFRecordWriter(str(copy / "assets.extra/tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())
    found = check(str(copy))
    (reason,) = found.reasons
    assert reason.startswith("a fresh process loads the model, and its signature encode fails: InvalidArgumentError: ")
    assert found.answers is False
    assert found.loaded_seconds is not None


def test_a_model_without_warm_up_requests_is_refused(copy, here):
    (copy / "assets.extra/tf_serving_warmup_requests").unlink()
    found = check(str(copy))
    assert len(found.reasons) == 2 * len(SIGNATURES)
    assert found.answers is False


def test_weights_that_are_not_the_trained_ones_are_found(exported, tiny, tmp_path, here):
    """A model with the answers of another one."""
    model, path = build(tiny, SHAPE), tmp_path / "other"
    for variable in model.trainable_variables:
        variable.assign_add(tf.fill(variable.shape, 0.05))
    grey = PixelModel(*(tf.fill([SHAPE.size], 0.5) for _ in PixelModel._fields))
    save(Servable(model, grey, 2, preprocessing(SHAPE), SHAPE), Units.of(tiny, SHAPE), str(path))
    shutil.copytree(exported / "assets.extra", path / "assets.extra", dirs_exist_ok=True)
    found = check(str(path))
    assert found.answers is True
    assert found.elbo_difference > 1.0
    assert found.reasons[0].startswith("the signature evaluate of 1 images differs from the trainer in ")
    assert len(found.reasons) == len(SIGNATURES)


CRASH = "import os, signal, sys\nos.kill(os.getpid(), signal.{})\n"


def test_a_model_that_crashes_the_process_is_refused(copy, program):
    program(CRASH.format("SIGSEGV"))
    found = check(str(copy))
    assert found.reasons == ["a fresh process that loads the model and calls it was killed by SIGSEGV"]
    assert not found.answers


ENDINGS = {
    "killed": (
        CRASH.format("SIGKILL"),
        "the process that loads the model as a server does was killed by SIGKILL: memory may have run out. Free some "
        "memory, or give the task more, and start again: the model is kept",
        "",
    ),
    "aborted": (
        "import os, sys\nsys.stderr.write('what():  std::bad_alloc')\nsys.stderr.flush()\nos.abort()\n",
        "the process that loads the model as a server does was killed by SIGABRT: memory may have run out. Free some "
        "memory, or give the task more, and start again: the model is kept",
        "std::bad_alloc",
    ),
    "terminated": (
        CRASH.format("SIGTERM"),
        "the process that loads the model as a server does was killed by SIGTERM. Free some memory, or give the task "
        "more, and start again: the model is kept",
        "",
    ),
    "failed": (
        "import no_such_library",
        "the process that loads the model as a server does ended with exit code 1. Free some memory, or give the task "
        "more, and start again: the model is kept",
        "ModuleNotFoundError: No module named 'no_such_library'",
    ),
    "out of memory": (
        """
import json, sys, numpy
numpy.savez(f"{sys.argv[2]}/answers.npz")
found = {"doing": "encode", "latency": {}, "error": "ResourceExhaustedError", "message": "OOM"}
open(f"{sys.argv[2]}/found.json", "w").write(json.dumps(found))
""",
        "there is too little memory to load the model as a server does. Free some memory, or give the task more, and "
        "start again: the model is kept",
        "ResourceExhaustedError: OOM",
    ),
    "busy": (
        "import time\ntime.sleep(60)",
        "the process that loads the model as a server does did not end within 1 s. Start again when the machine is "
        "less busy: the model is kept",
        "timed out after",
    ),
}


@pytest.mark.parametrize("end", ENDINGS)
def test_what_the_machine_does_to_the_process_is_no_refusal(end, copy, program, monkeypatch):
    text, message, cause = ENDINGS[end]
    program(text)
    if end == "busy":
        monkeypatch.setattr(serving_process, "SECONDS", 1.0)
    with pytest.raises(ReportedError) as error:
        check(str(copy))
    failure = error.value.failure
    assert (failure.kind, failure.value, str(failure)) == (Kind.INFRASTRUCTURE, str(copy), message)
    assert cause in failure.cause
