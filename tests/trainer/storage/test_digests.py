"""Digests find every kind of damage to a folder, and name the file."""

import os
import pathlib

import pytest

from trainer.storage.digests import (
    DamageError,
    below,
    digest_file,
    identity,
    read_digests,
    verify_digests,
    write_digests,
)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "artifact"
    (path / "Split-train").mkdir(parents=True)
    (path / "Split-train" / "data").write_bytes(bytes(range(256)) * 10)
    (path / "info").write_text("about it")
    return path


def flip(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_what_was_not_touched_verifies_also_under_another_name(folder):
    written = write_digests(str(folder))
    moved = folder.with_name("moved")
    folder.rename(moved)
    os.rename(digest_file(str(folder)), digest_file(str(moved)))
    assert verify_digests(str(moved)) == written == read_digests(str(moved))


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (lambda path: flip(path / "info"), "artifact/info"),
        (lambda path: flip(path / "Split-train/data"), "artifact/Split-train/data"),
        (lambda path: os.truncate(path / "Split-train/data", 5), "artifact/Split-train/data"),
        (lambda path: (path / "info").unlink(), "artifact/info"),
        (lambda path: (path / "Split-train/more").touch(), "artifact/Split-train/more"),
        (lambda path: os.truncate(digest_file(str(path)), 30), "artifact.digests.json"),
        (lambda path: os.remove(digest_file(str(path))), "artifact.digests.json"),
        (lambda path: pathlib.Path(digest_file(str(path))).write_text("[]"), "artifact.digests.json"),
        (lambda path: path.rename(path.with_name("gone")), "artifact"),
    ],
)
def test_damage_names_the_file(folder, damage, name, tmp_path):
    write_digests(str(folder))
    damage(folder)
    with pytest.raises(DamageError) as error:
        verify_digests(str(folder))
    assert error.value.failure.value == str(tmp_path / name)


def test_hidden_files_do_not_count(folder):
    write_digests(str(folder))
    (folder / ".nfs0001").touch()
    verify_digests(str(folder))


def test_equal_content_has_one_identity(folder, tmp_path):
    other = tmp_path / "other"
    (other / "Split-train").mkdir(parents=True)
    for name in ("Split-train/data", "info"):
        (other / name).write_bytes((folder / name).read_bytes())
    assert identity(write_digests(str(folder))) == identity(write_digests(str(other)))
    flip(other / "info")
    assert identity(write_digests(str(folder))) != identity(write_digests(str(other)))


def test_below_is_the_part_in_a_sub_folder(folder):
    digests = write_digests(str(folder))
    assert below(digests, "Split-train") == {"data": digests["Split-train/data"]}
