"""TFX's handle of ML Metadata, with our store."""

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata

from pipeline.state.database import AWAY_SECONDS, Database
from pipeline.state.store import Store
from trainer.errors import ReportedError


class Metadata(metadata.Metadata):
    """TFX's handle of ML Metadata, with a patient store.

    Args:
      connection: of the database.
      root: folder that artifacts' locations are kept relative to.
      away_seconds: how long the database may be away.
      hint: what to check where a server answers and refuses.
    """

    def __init__(
        self, connection: mlmd.ConnectionConfig, root: str, away_seconds: float = AWAY_SECONDS, hint: str = ""
    ) -> None:
        super().__init__(connection)
        self._root = root
        self._database = Database(connection, away_seconds, hint)

    def __enter__(self) -> "Metadata":
        if self._users == 0:
            self._store = Store(self._connection_config, self._root, self._database)
        self._users += 1
        return self

    @property
    def failure(self) -> ReportedError | None:
        """The error with which a wait for the database ended. TFX keeps some errors to itself."""
        return self._database.failure
