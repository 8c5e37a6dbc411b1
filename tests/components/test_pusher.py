import pathlib

import pytest
from tfx.components.evaluator import constants
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types import standard_component_specs as specs
from tfx.utils import io_utils, proto_utils

from components.pusher import Executor, pushed_versions, tree_digest


@pytest.fixture
def push(tmp_path):
    """Pushes a model with this content; returns the artifact that says what was done."""
    count = iter(range(100))

    def run(content, blessed=True, fingerprint=""):
        folder = tmp_path / str(next(count))
        model = standard_artifacts.Model()
        model.uri = str(folder / "model")
        serving = folder / "model/Format-Serving"
        (serving / "variables").mkdir(parents=True)
        (serving / "saved_model.pb").write_text(content)
        (serving / "variables/data").write_text(content)
        (serving / "fingerprint.pb").write_text(fingerprint)
        blessing = standard_artifacts.ModelBlessing()
        blessing.uri = str(folder / "blessing")
        name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
        io_utils.write_string_file(str(folder / "blessing" / name), "")
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(folder / "pushed")
        destination = pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(tmp_path / "serving"))
        )
        Executor().Do(
            {specs.MODEL_KEY: [model], specs.MODEL_BLESSING_KEY: [blessing]},
            {specs.PUSHED_MODEL_KEY: [pushed]},
            {specs.PUSH_DESTINATION_KEY: proto_utils.proto_to_json(destination)},
        )
        return pushed

    return run


def test_a_blessed_model_is_pushed_whole_and_says_where(push, tmp_path):
    pushed = push("one")
    path = pathlib.Path(pushed.get_string_custom_property("pushed_destination"))
    assert pushed.get_int_custom_property("pushed") == 1
    assert [path.name] == [entry.name for entry in (tmp_path / "serving").iterdir()]
    assert path.name == pushed.get_string_custom_property("pushed_version")
    assert tree_digest(str(path)) == tree_digest(str(tmp_path / "0/model/Format-Serving"))


def test_a_model_without_blessing_is_not_pushed(push, tmp_path):
    assert push("one", blessed=False).get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()


def test_an_unchanged_model_is_not_pushed_again_and_says_which_version_it_is(push, tmp_path):
    first, second = push("one"), push("one")
    assert second.get_int_custom_property("pushed") == 0
    assert second.get_string_custom_property("unchanged") == first.get_string_custom_property("pushed_destination")
    assert len(pushed_versions(str(tmp_path / "serving"))) == 1


def test_another_export_of_the_same_model_is_unchanged(push, tmp_path):
    for number in ("1", "2"):
        pushed = push("one", fingerprint=number)
    assert pushed.get_string_custom_property("unchanged")
    assert len(pushed_versions(str(tmp_path / "serving"))) == 1


def test_what_a_killed_push_left_is_cleared_away(push, tmp_path):
    (tmp_path / "serving/.incomplete").mkdir(parents=True)
    (tmp_path / "serving/.incomplete/stale").write_text("")
    path = pathlib.Path(push("one").get_string_custom_property("pushed_destination"))
    assert not (path / "stale").exists()
    assert not (tmp_path / "serving/.incomplete").exists()


def test_versions_grow_even_within_a_second(push, tmp_path):
    versions = [int(push(content).get_string_custom_property("pushed_version")) for content in ("one", "two", "three")]
    assert versions == sorted(set(versions)) == pushed_versions(str(tmp_path / "serving"))


def test_a_model_that_differs_from_the_newest_version_is_pushed_though_an_older_one_is_the_same(push, tmp_path):
    for content in ("one", "two", "one"):
        push(content)
    assert len(pushed_versions(str(tmp_path / "serving"))) == 3


def test_a_copy_that_fails_half_way_leaves_nothing(push, tmp_path, monkeypatch):
    def fill_the_disk(source, target, **_):
        pathlib.Path(target).mkdir(parents=True)
        pathlib.Path(target, "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io_utils, "copy_dir", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        push("one")
    assert not list((tmp_path / "serving").iterdir())


def test_no_version_is_ever_seen_incomplete(push, tmp_path, monkeypatch):
    copy, seen = io_utils.copy_dir, []

    def watch(source, target, **options):
        copy(source, target, **options)
        seen.append(pushed_versions(str(tmp_path / "serving")))

    monkeypatch.setattr(io_utils, "copy_dir", watch)
    push("one")
    assert seen[0] == []  # all is copied, and no version is visible


def test_folders_that_are_no_version_are_ignored(tmp_path):
    for name in ("12", "3", ".incomplete-99", "notes"):
        (tmp_path / name).mkdir()
    assert pushed_versions(str(tmp_path)) == [3, 12]
