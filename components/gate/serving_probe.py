"""The program of a fresh process that loads a SavedModel as a model server does, and calls its signatures.

    python -I serving_probe.py MODEL FOLDER

It imports nothing of this project, so a model that needs the project's code fails here and not at the server. It
replays the model's warm-up requests twice, where TensorFlow Serving replays them once, measures each signature's
latency, and writes `found.json` and `answers.npz` to FOLDER.
"""

import json
import os
import pathlib
import signal
import sys
import time
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2 as logs

WARMUP = "assets.extra/tf_serving_warmup_requests"
ROUNDS = 2  # of the warm-up requests, because the answers must repeat
BATCHES = (1, 32)  # images in a request whose latency is measured
CALLS, SECONDS = 40, 0.3  # of each signature and batch: the calls, and the time after which there are no more
AT_LEAST = 3  # calls, whatever they take
DEADLINE = 3600  # seconds until this process ends itself, if its parent died


def main(model: str, folder: str) -> None:
    """Observes the SavedModel at `model`, and writes what it found to `folder`."""
    found: dict[str, Any] = {"doing": "load", "latency": {}}
    answers: dict[str, np.ndarray] = {}
    try:
        start = time.perf_counter()
        signatures = tf.saved_model.load(model).signatures
        found["loaded_seconds"] = time.perf_counter() - start
        found["signatures"] = {name: _described(signature) for name, signature in signatures.items()}
        requests = _requests(model)
        for turn in range(ROUNDS):
            for number, (name, inputs) in enumerate(requests):
                found["doing"] = name
                for output, value in _call(signatures, name, inputs).items():
                    answers[f"{turn}/{number}/{output}"] = value.numpy()
        for name, inputs in dict(requests).items():  # the last request of each signature, which has the most images
            found["doing"] = name
            found["latency"][name] = {str(size): _latency(signatures, name, inputs, size) for size in BATCHES}
        del found["doing"]
    except Exception as error:
        found |= {"error": type(error).__name__, "message": str(error)}
    np.savez(os.path.join(folder, "answers.npz"), **answers)  # type: ignore[arg-type]
    pathlib.Path(folder, "found.json").write_text(json.dumps(found))


def _requests(model: str) -> list[tuple[str, dict[str, tf.Tensor]]]:
    """Reads the model's warm-up requests: a signature and its inputs."""
    file = os.path.join(model, WARMUP)
    if not os.path.exists(file):
        return []
    requests = [
        logs.PredictionLog.FromString(record).predict_log.request
        for record in tf.data.TFRecordDataset(file).as_numpy_iterator()
    ]
    return [
        (
            request.model_spec.signature_name,
            {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()},
        )
        for request in requests
    ]


def _call(signatures: Any, name: str, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return signatures[name](**inputs)


def _latency(signatures: Any, name: str, inputs: dict[str, tf.Tensor], size: int) -> list[float]:
    """Returns the milliseconds per image of calls with `size` images."""
    inputs = {key: _resized(key, value, size) for key, value in inputs.items()}
    _call(signatures, name, inputs)  # the first call of a size is slower
    took: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(took) < AT_LEAST or (len(took) < CALLS and time.perf_counter() < end):
        start = time.perf_counter()
        for value in _call(signatures, name, inputs).values():
            value.numpy()  # waits for it
        took.append((time.perf_counter() - start) * 1000.0 / size)
    return took


def _resized(key: str, value: tf.Tensor, size: int) -> tf.Tensor:
    """Returns an input with `size` images, the given ones again and again."""
    if value.shape.rank == 0:
        return tf.constant(size, value.dtype) if key == "n" else value
    return tf.gather(value, tf.range(size) % len(value))


def _described(signature: Any) -> dict[str, dict[str, list[Any]]]:
    """Returns dtype and shape of the inputs and outputs, by name."""
    given, returned = signature.structured_input_signature[1], signature.structured_outputs
    describe = lambda specs: {name: [spec.dtype.name, spec.shape.as_list()] for name, spec in specs.items()}  # noqa: E731
    return {"inputs": describe(given), "outputs": describe(returned)}


if __name__ == "__main__":
    signal.alarm(DEADLINE)
    main(*sys.argv[1:])
