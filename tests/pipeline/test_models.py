"""A model is found by its path or by a version, and never a damaged one."""

import pathlib

import pytest

from pipeline.models import find_model
from trainer.errors import ReportedError, UserError
from trainer.failure import Kind
from trainer.storage.digests import write_digests


def saved(path: pathlib.Path) -> pathlib.Path:
    """A folder that looks like a SavedModel."""
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"graph")
    (path / "fingerprint.pb").write_bytes(path.name.encode())
    return path


@pytest.fixture
def root(tmp_path):
    """A state directory with versions 9, 10 and 11 of two data sets."""
    for name in ("vaeiaf-a/9", "vaeiaf-a/10", "vaeiaf-b/11"):
        write_digests(str(saved(tmp_path / "root/pushed" / name)))
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("9", "vaeiaf-a/9"),
        ("11", "vaeiaf-b/11"),
        ("vaeiaf-a/10", "vaeiaf-a/10"),
        ("vaeiaf-a/served", "vaeiaf-a/10"),
        ("vaeiaf-b/served", "vaeiaf-b/11"),
    ],
)
def test_a_version_is_found_below_the_root(name, found, root):
    assert find_model(name, str(root)) == str(root / "pushed" / found)


def test_served_is_the_newest_of_the_only_push_directory(root, tmp_path):
    other = tmp_path / "other"
    (other / "pushed").mkdir(parents=True)
    (root / "pushed/vaeiaf-a").rename(other / "pushed/vaeiaf-a")
    (root / "pushed/vaeiaf-a.digests.json").touch()
    assert find_model("served", str(other)) == str(other / "pushed/vaeiaf-a/10")


def test_served_is_not_guessed_among_several_push_directories(root):
    with pytest.raises(UserError) as error:
        find_model("served", str(root))
    assert error.value.failure.valid == "one of vaeiaf-a/served, vaeiaf-b/served"


def test_a_path_is_a_saved_model_or_a_folder_of_versions(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy = saved(tmp_path / "copy")
    assert find_model("copy", str(root)) == str(copy)
    assert find_model("root/pushed/vaeiaf-a", str(root)) == str(root / "pushed/vaeiaf-a/10")
    number = saved(tmp_path / "9")
    assert find_model("./9", str(root)) == str(number)
    assert find_model("9", str(root)) == str(root / "pushed/vaeiaf-a/9")


def test_a_saved_model_in_an_artifact_is_found_by_its_path(root, tmp_path):
    path = saved(tmp_path / "artifacts/model/3/Format-Serving")
    write_digests(str(path.parent))
    assert find_model(str(path), str(root)) == str(path)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("servd", ""), ("12", ""), ("vaeiaf-a/99", ""), ("vaeiaf-a/srved", "Did you mean vaeiaf-a/served?")],
)
def test_a_mistyped_name_gets_the_valid_ones(name, nearest, root):
    with pytest.raises(UserError) as error:
        find_model(name, str(root))
    failure = error.value.failure
    assert failure.value == name
    assert "vaeiaf-a/9" in failure.valid
    assert failure.remedy == nearest or (not nearest and failure.remedy.startswith("Did you mean"))


def test_a_root_without_models_says_so(tmp_path):
    with pytest.raises(UserError) as error:
        find_model("served", str(tmp_path / "nothing"))
    assert "there is none" in error.value.failure.valid


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_without_versions_is_refused(empty, root, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    if not empty:
        (folder / "notes.txt").touch()
    with pytest.raises(UserError) as error:
        find_model(str(folder), str(root))
    assert error.value.failure.value == str(folder)


def damage_file(path):
    (path / "fingerprint.pb").write_bytes(b"other")


def lose_digests(path):
    pathlib.Path(f"{path}.digests.json").unlink()


@pytest.mark.parametrize("damage", [damage_file, lose_digests])
def test_a_damaged_version_is_refused(damage, root):
    path = root / "pushed/vaeiaf-a/10"
    damage(path)
    with pytest.raises(ReportedError) as error:
        find_model("vaeiaf-a/served", str(root))
    assert error.value.failure.kind == Kind.INFRASTRUCTURE
    assert error.value.failure.value == str(path)


def test_a_damaged_model_is_refused_by_its_path_too(root, tmp_path):
    damage_file(root / "pushed/vaeiaf-a/10")
    path = saved(tmp_path / "artifacts/model/3/Format-Serving")
    write_digests(str(path.parent))
    damage_file(path)
    for damaged in (root / "pushed/vaeiaf-a/10", path):
        with pytest.raises(ReportedError) as error:
            find_model(str(damaged), str(root))
        assert error.value.failure.value == str(damaged)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "12",
            "no version 12 is pushed below ROOT: expected one of vaeiaf-a/9, vaeiaf-a/10, vaeiaf-a/served, "
            "vaeiaf-b/11, vaeiaf-b/served, got '12'",
        ),
        (
            "vaeiaf-b/12",
            "no version vaeiaf-b/12 is pushed below ROOT: expected one of vaeiaf-b/11, vaeiaf-b/served, got "
            "'vaeiaf-b/12'. Did you mean vaeiaf-b/11?",
        ),
        (
            "served",
            "2 push directories have a version served: expected one of vaeiaf-a/served, vaeiaf-b/served, got 'served'",
        ),
        (
            "modl",
            "the model: expected the path of a SavedModel, or a version pushed below ROOT: vaeiaf-a/9, "
            "vaeiaf-a/10, vaeiaf-a/served, vaeiaf-b/11, vaeiaf-b/served, got 'modl'",
        ),
        (
            "ROOT",
            "the folder ROOT has neither a SavedModel nor versions of one: expected a folder with "
            "saved_model.pb, got 'ROOT'. Check the path",
        ),
    ],
)
def test_the_wording(name, message, root):
    with pytest.raises(UserError) as error:
        find_model(name.replace("ROOT", str(root)), str(root))
    assert str(error.value).replace(str(root), "ROOT") == message
