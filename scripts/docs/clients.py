"""Generates the clients of docs/howto/serving.md from the signatures: `python -m scripts.docs.clients` prints them."""

from collections.abc import Callable

from trainer.signatures import SIGNATURES, Tensor

SAMPLES, SEED, TEMPERATURE = 4, 0, 0.7

COMMON = """
IMAGE = pathlib.Path("image.png").read_bytes()  # PNG or JPEG, of the shape that the model was trained on
PIXELS = tf.io.decode_image(IMAGE).numpy()  # [H, W, C] uint8
FEATURES = {"image": IMAGE, "id": b"a name, which seeds the noise of its ELBO"}
LISTS = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in FEATURES.items()}
EXAMPLE = tf.train.Example(features=tf.train.Features(feature=LISTS)).SerializeToString()
"""

REST = """
import base64
import pathlib

import requests
import tensorflow as tf

URL = "http://localhost:8501/v1/models/vaeiaf:predict"
{common}


def b64(content):
    return {{"b64": base64.b64encode(content).decode()}}


def ask(signature, inputs):
    answer = requests.post(URL, json={{"signature_name": signature, "inputs": inputs}}, timeout=60)
    answer.raise_for_status()
    return answer.json()["outputs"]  # the array of a single output, or a dictionary of several


answers = {{
{calls}
}}
"""

GRPC = """
import pathlib

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

SERVER = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel("localhost:8500"))
{common}


def ask(signature, inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "vaeiaf", signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return {{name: tf.make_ndarray(tensor) for name, tensor in SERVER.Predict(request, timeout=60).outputs.items()}}


answers = {{
{calls}
}}
"""


def rest() -> str:
    """Returns a client that asks for every signature over REST."""
    return REST.strip().format(common=COMMON.strip(), calls=_calls(_json))


def grpc() -> str:
    """Returns a client that asks for every signature over gRPC."""
    return GRPC.strip().format(common=COMMON.strip(), calls=_calls(_python))


def _calls(value: Callable[[str, Tensor], str]) -> str:
    lines = []
    for name, signature in SIGNATURES.items():
        inputs = ", ".join(f'"{key}": {value(key, tensor)}' for key, tensor in signature.inputs.items())
        outputs: dict[str, list[str]] = {}
        for key, tensor in signature.outputs.items():
            outputs.setdefault(f"{tensor.dtype} [{', '.join(tensor.sizes)}]", []).append(key)
        lines.append("    # " + "; ".join(f"{', '.join(keys)}: {kind}" for kind, keys in outputs.items()))
        lines.append(f'    "{name}": ask("{name}", {{{inputs}}}),')
    return "\n".join(lines)


def _json(name: str, tensor: Tensor) -> str:
    """Returns the value of an input as JSON has it: one image, or a number."""
    if tensor.dtype == "string":
        return f"[b64({_encoded(name)})]"
    if name == "latents":
        return 'ask("encode", {"images": [b64(IMAGE)]})'
    return "[PIXELS.tolist()]" if tensor.sizes else str(_number(name))


def _python(name: str, tensor: Tensor) -> str:
    """Returns the value of an input as `tf.make_tensor_proto` takes it; it makes int32 of a whole number."""
    if tensor.dtype == "string":
        return f"[{_encoded(name)}]"
    if name == "latents":
        return 'ask("encode", {"images": [IMAGE]})["latents"]'
    return "PIXELS[None]" if tensor.sizes else str(_number(name))


def _encoded(name: str) -> str:
    return {"images": "IMAGE", "examples": "EXAMPLE"}[name]


def _number(name: str) -> float:
    return {"n": SAMPLES, "seed": SEED, "temperature": TEMPERATURE}[name]


if __name__ == "__main__":
    print("\n\n".join(f"```python\n{client()}\n```" for client in (rest, grpc)))
