"""Databases that come and go."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from ml_metadata.proto import metadata_store_pb2 as mlmd

FULL = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    peer = server.accept()[0]
    peer.sendall(bytes([23, 0, 0, 0, 255, 16, 4]) + b"Too many connections")
    peer.close()
"""


@contextlib.contextmanager
def full_server() -> Iterator[int]:
    """The port of a MySQL server that has too many connections. A process: ML Metadata lets no other thread run."""
    with subprocess.Popen([sys.executable, "-c", FULL], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


class MariaDB:
    """A real server with the database `vaeiaf`, which can be killed and started again."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.process = folder, None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._user = "mysql" if os.getuid() == 0 else ""
        (folder / "data").mkdir()
        if self._user:
            for path in (folder, folder / "data"):
                shutil.chown(path, self._user)
        self._open_folders()
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={folder / 'data'}", *self._as_user()],
            check=True,
            capture_output=True,
        )
        self.start()
        sql = (
            "CREATE DATABASE vaeiaf; CREATE USER vaeiaf@'%' IDENTIFIED VIA mysql_native_password "
            "USING PASSWORD('word'); GRANT ALL ON vaeiaf.* TO vaeiaf@'%';"
        )
        subprocess.run(["mariadb", f"--socket={folder / 'socket'}", "-e", sql], check=True)

    @staticmethod
    def is_installed() -> bool:
        return all(shutil.which(name) for name in ("mariadbd", "mariadb-install-db", "mariadb"))

    def _as_user(self) -> list[str]:
        return [f"--user={self._user}"] if self._user else []

    def _open_folders(self) -> None:
        """Lets the server's user pass. Each start of pytest keeps its folders to their owner again."""
        for parent in self.folder.parents if self._user else ():
            if parent != pathlib.Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)

    def start(self) -> None:
        """Returns when it answers."""
        self._open_folders()
        self.process = subprocess.Popen(
            [
                *["mariadbd", "--no-defaults", f"--datadir={self.folder / 'data'}", f"--port={self.port}"],
                *["--bind-address=127.0.0.1", f"--socket={self.folder / 'socket'}", *self._as_user()],
                *["--innodb-snapshot-isolation=OFF", "--skip-name-resolve"],
            ],
            stderr=(self.folder / "log").open("ab"),
        )
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Ends it at once."""
        self.process.send_signal(number)
        self.process.wait()

    @property
    def connection(self) -> mlmd.ConnectionConfig:
        return mlmd.ConnectionConfig(
            mysql=mlmd.MySQLDatabaseConfig(
                host="127.0.0.1", port=self.port, database="vaeiaf", user="vaeiaf", password="word"
            )
        )
