"""The store of ML Metadata: waits for the database, and keeps locations relative to the root."""

import os
from collections.abc import Iterator, Sequence

from google.protobuf.message import Message
from ml_metadata import errors
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.state.database import FAILURES, Database


class Store(MetadataStore):
    """A store whose calls wait for the database.

    The database holds the URI of an artifact below `root` relative to it; callers see absolute URIs.
    """

    def __init__(self, root: str, database: Database) -> None:
        self._root, self._database = root, database
        database.patiently(self._connect, connects=True)

    def _connect(self) -> None:
        MetadataStore.__init__(self, self._database.connection)
        self._connected = True

    def get_executions_by_id(self, execution_ids: Sequence[int], extra_options: object = None) -> list[mlmd.Execution]:
        """Returns the executions with these ids.

        Raises:
          DatabaseError: one of them is missing. A damaged SQLite file may lose rows silently.
        """
        found = super().get_executions_by_id(execution_ids, extra_options)
        if lost := {*execution_ids} - {execution.id for execution in found}:
            raise self._database.broken(f"execution {min(lost)}, which was recorded in it, is missing")
        return found

    def _call(self, method_name: str, request: Message, response: Message, extra_options: object = None) -> None:
        """Waits for the database. All of ML Metadata's calls pass through here; its own version retries only aborts."""
        del extra_options
        for artifact in _artifacts(request):
            artifact.uri = relative(artifact.uri, self._root)
        if method_name == "GetArtifactsByURI":
            request.uris[:] = [relative(uri, self._root) for uri in request.uris]

        def attempt() -> None:
            if not self._connected:
                self._connect()
            self._connected = False  # until it has answered
            try:
                self._call_method(method_name, request, response)
            except FAILURES:
                raise
            except errors.StatusError:  # an answer
                self._connected = True
                raise
            self._connected = True

        self._database.patiently(attempt)
        for artifact in _artifacts(response):
            artifact.uri = absolute(artifact.uri, self._root)


def relative(uri: str, root: str) -> str:
    """Returns `uri` relative to `root`, if it is below it."""
    return uri.removeprefix(root.rstrip("/") + "/")


def absolute(uri: str, root: str) -> str:
    """Undoes `relative`. A URI with a scheme and an absolute path stay as they are."""
    return os.path.join(root, uri) if uri and "://" not in uri else uri


def _artifacts(message: Message) -> Iterator[mlmd.Artifact]:
    """Yields the artifacts in a request or a response."""
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is None or kind.GetOptions().map_entry:
            continue
        for item in value if field.is_repeated else [value]:
            if isinstance(item, mlmd.Artifact):
                yield item
            elif kind.name in ("ArtifactAndEvent", "LineageGraph", "LineageSubgraph"):
                yield from _artifacts(item)
