import os

import pytest

from components.ingest import own_files
from components.ingest.own_files import walk


@pytest.fixture
def tree(tmp_path):
    """Files with awkward names, a hidden folder, and links: one to a folder, one to nothing, one to itself."""
    names = [
        *(f"{i}.png" for i in range(12)),
        "b/é.png",
        "b/two\nlines",
        "b/deep er/x",
        "a/y",
        ".h/no",
        "a/.no",
        "left",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    open(os.path.join(os.fsencode(tmp_path), b"a/\xff.png"), "w").close()
    (tmp_path / "c").symlink_to(tmp_path / "a")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "self").symlink_to("self")
    return str(tmp_path)


@pytest.mark.parametrize("run", [1, 5, 1000])
@pytest.mark.parametrize("folder", ["", "b"])
def test_files_are_listed_as_os_walk_would_without_hidden_ones(folder, run, tree, monkeypatch):
    monkeypatch.setattr(own_files, "RUN", run)
    expected = []
    for path, folders, names in os.walk(os.path.join(tree, folder), followlinks=True):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        expected += [os.path.relpath(os.path.join(path, name), tree) for name in sorted(names) if name[0] != "."]
    found = list(walk(tree, folder, "left"))
    assert found == [name for name in expected if name != "left"]
    assert found


def test_a_folder_that_is_away_is_no_empty_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(walk(str(tmp_path), "missing"))
