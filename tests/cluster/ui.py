"""What Kubeflow's UI shows of a run: pages and numbers, asked for as the browser does."""

import struct
import urllib.parse
import urllib.request
from typing import Any

from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_pb2 as mlmd
from ml_metadata.proto import metadata_store_service_pb2 as service

SECONDS = 60
TRAILER = 0x80  # first byte of the last frame of gRPC-Web


class Ui:
    """The UI at an address."""

    def __init__(self, address: str, namespace: str) -> None:
        self._address, self._namespace = address.rstrip("/"), namespace

    def metrics(self, run: str) -> dict[str, float]:
        """Returns all numbers that the tasks of a run have shown."""
        found = {}
        for artifact in self._artifacts(run):
            for name, value in artifact.custom_properties.items():
                kind = value.WhichOneof("value")
                if kind in ("double_value", "int_value"):
                    found[name] = float(getattr(value, kind))
        return found

    def page(self, run: str, output: str) -> str:
        """Returns a page that a task of the run has shown; empty if there is none."""
        for artifact in self._artifacts(run):
            where = urllib.parse.urlsplit(artifact.uri)
            if where.path.endswith(f"/{output}"):
                values = {"source": where.scheme, "namespace": self._namespace, "bucket": where.netloc}
                query = urllib.parse.urlencode(values | {"key": where.path.removeprefix("/")})
                with urllib.request.urlopen(f"{self._address}/artifacts/get?{query}", timeout=SECONDS) as answer:
                    return answer.read().decode()
        return ""

    def _artifacts(self, run: str) -> list[mlmd.Artifact]:
        """Returns the artifacts of a run in Kubeflow's own metadata, in which the run is a context."""
        request = service.GetContextByTypeAndNameRequest(type_name="system.PipelineRun", context_name=run)
        context = self._ask("GetContextByTypeAndName", request, service.GetContextByTypeAndNameResponse).context
        asked = service.GetArtifactsByContextRequest(context_id=context.id)
        return list(self._ask("GetArtifactsByContext", asked, service.GetArtifactsByContextResponse).artifacts)

    def _ask(self, method: str, request: Message, answer: type[Any]) -> Any:
        """Calls a method of ML Metadata by gRPC-Web."""
        body = request.SerializeToString()
        headers = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
        url = f"{self._address}/ml_metadata.MetadataStoreService/{method}"
        asked = urllib.request.Request(url, struct.pack(">BI", 0, len(body)) + body, headers)
        with urllib.request.urlopen(asked, timeout=SECONDS) as found:
            content = found.read()
        kind, length = struct.unpack_from(">BI", content)
        assert kind != TRAILER, f"{method}: {content[5:].decode(errors='replace')}"
        return answer.FromString(content[5 : 5 + length])
