import json
import os
import pathlib
import shutil
import sqlite3

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline import cli
from pipeline.state.database import Database, sqlite_connection
from pipeline.state.store import Store
from trainer.exit_codes import BAD_INPUT, DONE, FAILED
from trainer.storage.digests import write_digests


@pytest.fixture
def root(tmp_path):
    """A state directory with two artifacts, a pushed version and a checkpoint."""
    root = tmp_path / "state"
    folders = [
        "artifacts/p/Trainer/model/1",
        "artifacts/p/Transform/graph/2",
        "pushed/p/1000",
        "training/p/x/step-1/data",
    ]
    for name in folders:
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text(f"the content of {name}")
        write_digests(str(root / name))
    store = Store(str(root), Database(sqlite_connection(str(root / "metadata.sqlite"))))
    kind = store.put_artifact_type(mlmd.ArtifactType(name="A"))
    for name in folders[:2]:
        store.put_artifacts([mlmd.Artifact(type_id=kind, uri=str(root / name), state=mlmd.Artifact.LIVE)])
    return root


@pytest.fixture
def verify(root, capsys):
    """Exit code, the lines of damage, and the last line."""

    def run(path=root):
        code = cli.main(["verify", "--root", str(path)])
        captured = capsys.readouterr()
        lines = captured.out.splitlines()
        return code, [line for line in lines if line.startswith("DAMAGED: ")], (lines or [captured.err])[-1]

    return run


def test_a_sound_directory_is_said_to_be_so_also_after_a_move(root, verify):
    code, damage, last = verify()
    assert (code, damage) == (DONE, [])
    assert last.startswith("4 folders verified, 0 MB in ")
    assert last.endswith("s: no damage.")
    moved = root.rename(root.with_name("moved"))
    assert verify(moved)[:2] == (DONE, [])


def gone_whole(root):
    shutil.rmtree(root / "artifacts/p/Trainer/model/1")
    os.remove(root / "artifacts/p/Trainer/model/1.digests.json")


def unreadable_database(root):
    content = bytearray((root / "metadata.sqlite").read_bytes())
    content[4096:8192] = bytes(4096)
    (root / "metadata.sqlite").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda root: (root / "artifacts/p/Trainer/model/1/file").write_text("x"),
            "model/1/file has 1 bytes inst",
        ),
        (lambda root: (root / "pushed/p/1000/file").unlink(), "pushed/p/1000/file is missing"),
        (lambda root: (root / "training/p/x/step-1/data/more").touch(), "step-1/data/more was added later"),
        (lambda root: (root / "pushed/p/1000.digests.json").unlink(), "pushed/p/1000.digests.json is missing"),
        (gone_whole, "artifacts/p/Trainer/model/1 is missing or has no digests"),
        (
            lambda root: (root / "metadata.sqlite").write_bytes(b"nothing" * 999),
            "damaged: file is not a database",
        ),
        (unreadable_database, "metadata.sqlite is damaged: "),
    ],
    ids=["changed", "deleted", "added", "no digests", "gone whole", "no database", "a page of zeros"],
)
def test_damage_is_named(root, verify, damage, said):
    damage(root)
    code, lines, last = verify()
    assert code == FAILED
    assert len(lines) == 1
    assert said in lines[0]
    assert "1 damaged" in last


def test_what_was_quarantined_is_no_damage_any_more(root, verify):
    path = root / "artifacts/p/Transform/graph/2"
    path.rename(path.with_name("2.damaged-20260101T000000"))
    pathlib.Path(f"{path}.digests.json").rename(path.with_name("2.damaged-20260101T000000.digests.json"))
    path.with_name("2.damaged-20260101T000000.json").write_text(json.dumps({"reason": "x"}))
    with sqlite3.connect(root / "metadata.sqlite") as connection:
        connection.execute(f"UPDATE Artifact SET state = {mlmd.Artifact.DELETED} WHERE uri LIKE '%graph/2'")
    assert verify()[:2] == (DONE, [])


def test_a_folder_that_is_no_state_directory_is_refused(verify, tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        if path == tmp_path:
            shutil.rmtree(tmp_path / "state", ignore_errors=True)
        code, _, last = verify(path)
        assert code == BAD_INPUT
        assert f"--root {path} is not a state directory" in last
