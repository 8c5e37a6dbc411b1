"""Kubeflow's UI, as far as a browser asks it for a page, and for the artifacts of a run."""

import contextlib
import struct
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

from ml_metadata.proto import metadata_store_pb2 as mlmd
from ml_metadata.proto import metadata_store_service_pb2 as service


class Page(BaseHTTPRequestHandler):
    """Answers with `status` and a page of type `kind`, and about runs if there is an `engine`."""

    status, kind, address, engine = 200, "text/html; charset=utf-8", "", None

    def do_GET(self):
        where = urllib.parse.urlsplit(self.path)
        content = b""
        if where.path == "/artifacts/get":
            key = dict(urllib.parse.parse_qsl(where.query))["key"]
            with open(f"/{key}", "rb") as file:
                content = file.read()
        self._send(content, self.kind)

    def do_POST(self):
        """Answers a call of ML Metadata by gRPC-Web; the context of a run has the run's number as its id."""
        body = self.rfile.read(int(self.headers["Content-Length"]))[5:]
        runs = list(self.engine.workflows)
        if self.path.endswith("/GetContextByTypeAndName"):
            asked = service.GetContextByTypeAndNameRequest.FromString(body)
            context = mlmd.Context(id=1 + runs.index(asked.context_name))
            answer = service.GetContextByTypeAndNameResponse(context=context)
        else:
            run = runs[service.GetArtifactsByContextRequest.FromString(body).context_id - 1]
            answer = service.GetArtifactsByContextResponse(artifacts=_artifacts(self.engine.workflows[run].outputs))
        content = answer.SerializeToString()
        self._send(struct.pack(">BI", 0, len(content)) + content, "application/grpc-web+proto")

    def _send(self, content, kind):
        self.send_response(self.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def _artifacts(outputs):
    """Returns what tasks wrote, as Kubeflow's launcher records it: a folder of this machine is a bucket's."""
    for written in outputs.values():
        for found in written.values():
            (one,) = found["artifacts"]
            artifact = mlmd.Artifact(uri=f"minio://bucket{one['uri']}")
            for name, value in one["metadata"].items():
                artifact.custom_properties[name].double_value = value
            yield artifact


@contextlib.contextmanager
def ui_page(engine=None) -> Iterator[type[Page]]:
    """The class of a server's answers, with its address."""
    made = type("Page", (Page,), {"engine": engine})
    with HTTPServer(("127.0.0.1", 0), made) as server:
        made.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield made
        server.shutdown()
