"""Tells whether an SQLite file is locked or damaged."""

import contextlib
import pathlib
import sqlite3


def is_locked(path: str) -> bool:
    """Tells whether another process has locked the existing database at `path`.

    Do not call it while ML Metadata has an open transaction: closing a file ends the process's locks on it.

    Raises:
      sqlite3.DatabaseError: the file is not a database, or cannot be opened or written.
    """
    uri = f"{pathlib.Path(path).absolute().as_uri()}?mode=rw"  # quoted: a name may contain % # and ?
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0.0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SELECT name FROM sqlite_master").fetchall()
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):  # without details
            return True
        raise
    return False


def fault(path: str) -> str | None:
    """Describes the damage to the database at `path`; None if there is none, or if it is locked."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # locked: the store waits for it
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if answer == "ok" else answer
