"""TFX's handle of ML Metadata, backed by our store."""

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata

from pipeline.state.database import AWAY_SECONDS, Database
from pipeline.state.store import Store
from trainer.errors import ReportedError


class Metadata(metadata.Metadata):
    """TFX's handle of ML Metadata, with a store that waits for the database.

    Args:
      connection: of the database.
      root: folder to which artifacts' locations are relative.
      away_seconds: how long to wait for the database.
      hint: what to check when a server refuses connections.
    """

    def __init__(
        self, connection: mlmd.ConnectionConfig, root: str, away_seconds: float = AWAY_SECONDS, hint: str = ""
    ) -> None:
        super().__init__(connection)
        self._root = root
        self._database = Database(connection, away_seconds, hint)

    def __enter__(self) -> "Metadata":
        if self._users == 0:
            self._store = Store(self._root, self._database)
        self._users += 1
        return self

    @property
    def failure(self) -> ReportedError | None:
        """The error that ended a wait for the database. TFX swallows some errors."""
        return self._database.failure
