"""An emulator of TensorFlow Serving: its watch of a folder, its warm-up, its REST and its gRPC interface.

It runs the tensors of a SignatureDef in a Session, as TensorFlow Serving does, not the functions of the SavedModel.
"""

import base64
import http.server
import json
import os
import pathlib
import re
import threading
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_log_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc as service

WARMUP = "assets.extra/tf_serving_warmup_requests"
MOST_WARMUP = 1000  # records, TensorFlow Serving's limit


class RequestError(Exception):
    """A request that the model cannot answer."""


class Loaded:
    """A version in a Session."""

    def __init__(self, path):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            graph = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], path)
        self.signatures = {name: found for name, found in graph.signature_def.items() if found.method_name}
        self.warmed_up = 0
        file = os.path.join(path, WARMUP)
        if os.path.exists(file):
            for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
                request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
                self.predict(request.model_spec.signature_name, arrays(request.inputs))
                self.warmed_up += 1
            assert self.warmed_up <= MOST_WARMUP

    def signature(self, name):
        try:
            return self.signatures[name or tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
        except KeyError:
            raise RequestError(f"Serving signature name: {name!r} not found in signature def") from None

    def predict(self, name, inputs):
        signature = self.signature(name)
        if set(inputs) != set(signature.inputs):
            raise RequestError(f"input {sorted(inputs)} instead of {sorted(signature.inputs)}")
        outputs = {key: info.name for key, info in signature.outputs.items()}
        try:
            return self._session.run(outputs, {signature.inputs[key].name: array for key, array in inputs.items()})
        except (tf.errors.OpError, ValueError) as error:
            raise RequestError(str(error)) from error


class ModelServer:
    """A server of the newest version below `base`, which a caller polls instead of a clock."""

    def __init__(self, base, name="vaeiaf"):
        self.base, self.name = pathlib.Path(base), name
        self.version, self.loaded = None, None
        self.poll()

    def poll(self):
        """Serves the newest version, if it can be loaded and warmed up."""
        versions = [int(path.name) for path in self.base.iterdir() if path.is_dir() and path.name.isdigit()]
        if versions and max(versions) != self.version:
            self.loaded, self.version = Loaded(str(self.base / str(max(versions)))), max(versions)

    def rest(self, method, path, body):
        """The status and content of the answer to a request of HTTP."""
        found = re.fullmatch(r"/v1/models/(\w+)(?:/versions/(\d+))?(/metadata|:predict)?", path)
        if not found or found[1] != self.name or self.loaded is None or int(found[2] or self.version) != self.version:
            return 404, {"error": f"Servable not found for request: {path}"}
        if method == "POST" and found[3] == ":predict":
            try:
                return 200, self._predict(body)
            except (RequestError, ValueError, TypeError, KeyError) as error:
                return 400, {"error": str(error)}
        if found[3] == "/metadata":
            return 200, json_format.MessageToDict(self.metadata())
        version = {"version": str(self.version), "state": "AVAILABLE", "status": {"error_code": "OK"}}
        return 200, {"model_version_status": [version]}

    def _predict(self, body):
        """Answers in the columnar format, in which a single output has no name."""
        request = json.loads(body)
        name = request.get("signature_name")
        infos = self.loaded.signature(name).inputs
        inputs = {key: tensor(infos[key], value) for key, value in request["inputs"].items()}
        outputs = {key: array.tolist() for key, array in self.loaded.predict(name, inputs).items()}
        return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}

    def metadata(self):
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name, response.model_spec.version.value = self.name, self.version
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=self.loaded.signatures)
        response.metadata["signature_def"].Pack(signatures)
        return response


class Servicer(service.PredictionServiceServicer):
    """The gRPC interface."""

    def __init__(self, server):
        self._server = server

    def Predict(self, request, context):  # noqa: N802
        if request.model_spec.name != self._server.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request.model_spec.name}")
        try:
            outputs = self._server.loaded.predict(request.model_spec.signature_name, arrays(request.inputs))
        except RequestError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for key, array in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(array))
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        return self._server.metadata()


class Ports:
    """A model server at two ports of this machine, as a context manager."""

    def __init__(self, server):
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, content = server.rest(self.command, self.path, body)
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._grpc = grpc.server(futures.ThreadPoolExecutor(2))
        service.add_PredictionServiceServicer_to_server(Servicer(server), self._grpc)
        self.rest, self.grpc = self._http.server_port, self._grpc.add_insecure_port("127.0.0.1:0")

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        self._grpc.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(None).wait()


def arrays(protos):
    return {key: tf.make_ndarray(proto) for key, proto in protos.items()}


def tensor(info, value):
    """The array of a JSON value, with the dtype of the signature."""
    dtype = tf.as_dtype(info.dtype)
    return np.array(decoded(value), object if dtype == tf.string else dtype.as_numpy_dtype)


def decoded(value):
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return [decoded(item) for item in value] if isinstance(value, list) else value
