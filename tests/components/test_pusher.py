import os
import pathlib
import time
import types

import pytest
import tensorflow as tf
from tfx.components.evaluator import constants
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types import standard_component_specs as specs
from tfx.utils import io_utils, proto_utils

from components.leftovers import DAY
from components.pusher import Executor, pushed_versions


class Constant(tf.Module):
    """A model that says one number."""

    def __init__(self, number):
        super().__init__()
        self.number = tf.Variable(number)

    @tf.function(input_signature=[])
    def say(self):
        return self.number + 0.0


@pytest.fixture
def push(tmp_path):
    """Pushes a model that says this number; returns the artifact that says what was done."""
    count = iter(range(100))

    def run(number, blessed=True):
        folder = tmp_path / str(next(count))
        model = standard_artifacts.Model()
        model.uri = str(folder / "model")
        constant = Constant(number)
        tf.saved_model.save(constant, str(folder / "model/Format-Serving"), signatures={"say": constant.say})
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


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_blessed_model_is_pushed_whole_and_says_where(push, tmp_path):
    pushed = push(1.0)
    path = pathlib.Path(pushed.get_string_custom_property("pushed_destination"))
    assert pushed.get_int_custom_property("pushed") == 1
    assert [path.name] == [entry.name for entry in (tmp_path / "serving").iterdir()]
    assert path.name == pushed.get_string_custom_property("pushed_version")
    assert contents(path) == contents(tmp_path / "0/model/Format-Serving")


def test_a_model_without_blessing_is_not_pushed(push, tmp_path):
    assert push(1.0, blessed=False).get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()


def test_an_unchanged_model_is_not_pushed_again_and_says_which_version_it_is(push, tmp_path):
    first, second = push(1.0), push(1.0)  # two exports, whose files differ
    assert second.get_int_custom_property("pushed") == 0
    assert second.get_string_custom_property("unchanged") == first.get_string_custom_property("pushed_destination")
    assert len(pushed_versions(str(tmp_path / "serving"))) == 1


def test_a_version_that_is_no_export_of_ours_counts_as_another_model(push, tmp_path):
    (tmp_path / "serving/7").mkdir(parents=True)
    assert push(1.0).get_int_custom_property("pushed") == 1


def test_what_a_killed_push_left_is_cleared_away_but_not_a_push_at_work(push, tmp_path):
    for name, age in (("killed", 2 * DAY), ("at-work", 0.0)):
        folder = tmp_path / f"serving/.incomplete-{name}"
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age,) * 2)
    push(1.0)
    assert [path.name for path in (tmp_path / "serving").glob(".*")] == [".incomplete-at-work"]


def test_versions_grow_even_within_a_second(push, tmp_path):
    versions = [int(push(number).get_string_custom_property("pushed_version")) for number in (1.0, 2.0, 3.0)]
    assert versions == sorted(set(versions)) == pushed_versions(str(tmp_path / "serving"))


def test_two_pushes_in_one_second_are_two_versions(push, tmp_path, monkeypatch):
    copy = io_utils.copy_dir

    def meet_another(source, target, **options):
        copy(source, target, **options)
        (tmp_path / "serving/1000").mkdir()
        (tmp_path / "serving/1000/saved_model.pb").touch()

    monkeypatch.setattr("components.pusher.time", types.SimpleNamespace(time=lambda: 1000.0))
    monkeypatch.setattr(io_utils, "copy_dir", meet_another)
    assert push(1.0).get_string_custom_property("pushed_version") == "1001"
    assert pushed_versions(str(tmp_path / "serving")) == [1000, 1001]


def test_a_model_that_differs_from_the_newest_version_is_pushed_though_an_older_one_is_the_same(push, tmp_path):
    for number in (1.0, 2.0, 1.0):
        push(number)
    assert len(pushed_versions(str(tmp_path / "serving"))) == 3


def test_a_copy_that_fails_half_way_leaves_nothing(push, tmp_path, monkeypatch):
    def fill_the_disk(source, target, **_):
        pathlib.Path(target).mkdir(parents=True)
        pathlib.Path(target, "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io_utils, "copy_dir", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        push(1.0)
    assert not list((tmp_path / "serving").iterdir())


def test_no_version_is_ever_seen_incomplete(push, tmp_path, monkeypatch):
    copy, seen = io_utils.copy_dir, []

    def watch(source, target, **options):
        copy(source, target, **options)
        seen.append(pushed_versions(str(tmp_path / "serving")))

    monkeypatch.setattr(io_utils, "copy_dir", watch)
    push(1.0)
    assert seen[0] == []  # all is copied, and no version is visible


def test_folders_that_are_no_version_are_ignored(tmp_path):
    for name in ("12", "3", ".incomplete-99", "notes"):
        (tmp_path / name).mkdir()
    assert pushed_versions(str(tmp_path)) == [3, 12]
