import os

import pytest

from trainer.storage.aside import finish_moves, move_aside, moved_aside
from trainer.storage.digests import digest_file, verify_digests, write_digests

MARK = ".retired-"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "7"
    path.mkdir()
    (path / "file").write_text("content")
    write_digests(str(path))
    return path


def test_a_folder_moves_with_its_digests_and_a_note(folder):
    moved = move_aside(str(folder), MARK, {"who": "ada"})
    verify_digests(moved)
    assert not folder.exists()
    assert not os.path.exists(digest_file(str(folder)))
    (found,) = moved_aside(str(folder.parent), MARK)
    assert (found.folder, found.moved, found.note["who"]) == (str(folder), moved, "ada")
    assert list(moved_aside(str(folder.parent), ".other-")) == []


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_move_that_is_killed_anywhere_is_completed_later(folder, monkeypatch, renames):
    rename, done = os.rename, []

    def die(source, target):
        if len(done) == renames:
            raise InterruptedError
        done.append(target)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", die)
        if renames < 2:
            with pytest.raises(InterruptedError):
                move_aside(str(folder), MARK, {})
        else:
            move_aside(str(folder), MARK, {})
    finish_moves(str(folder.parent), MARK)
    (found,) = moved_aside(str(folder.parent), MARK)
    verify_digests(found.moved)
    assert not folder.exists()


def test_two_moves_in_a_second_have_two_names(folder):
    first = move_aside(str(folder), MARK, {})
    os.rename(first, folder)
    assert move_aside(str(folder), MARK, {}) != first


def test_an_unreadable_note_still_names_its_folder(folder):
    moved = move_aside(str(folder), MARK, {})
    with open(f"{moved}.json", "w") as file:
        file.write("{torn")
    (found,) = moved_aside(str(folder.parent), MARK)
    assert (found.folder, found.note) == (str(folder), {})
