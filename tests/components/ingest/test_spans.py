"""Patterns of spans: what they match, and which spans a run takes."""

import os
import pathlib

import pytest
from tfx.components.example_gen import utils
from tfx.proto import example_gen_pb2

from components.ingest import span_window
from components.ingest.span_window import incomplete, newest_complete
from components.ingest.spans import check_pattern, find_spans, folder_of, of_json
from pipeline.settings import PipelineConfig
from trainer.errors import UserError
from trainer.schema import SettingError

NOW = 1_800_000_000.0


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Makes spans, each of one file that is so many minutes old; returns the folder. The inode has no time."""
    stat = os.stat

    def without_inode_time(path, *more, **options):
        found = stat(path, *more, **options)
        return os.stat_result([*found[:9], found.st_mtime])

    monkeypatch.setattr(span_window.os, "stat", without_inode_time)

    def make(**minutes):
        for name, age in minutes.items():
            path = tmp_path / name.replace("__", "/")
            path.mkdir(parents=True, exist_ok=True)
            (path / "a.png").write_bytes(b"image")
            for item in (path / "a.png", path, path.parent):
                os.utime(item, (NOW - age * 60, NOW - age * 60))
        return tmp_path

    return make


def names(spans):
    return [span.name for span in spans]


def make_all(tmp_path, *paths):
    for path in paths:
        (tmp_path / path).mkdir(parents=True)


@pytest.mark.parametrize(
    ("pattern", "folder", "paths", "spans", "others"),
    [
        (
            "{SPAN}",
            "",
            ["2", "10", "0003", "new", "1_0", "-4", ".5"],
            {"10": 10, "0003": 3, "2": 2},
            {"-4", "1_0", "new"},
        ),
        ("{SPAN:3}", "", ["007", "12", "1234"], {"007": 7}, {"12", "1234"}),
        ("day-{SPAN}/in", "", ["day-1/in", "day-2/out"], {"day-1/in": 1}, set()),
        ("a/{YYYY}-{MM}-{DD}", "a", ["a/1970-01-03", "a/1970-13-01"], {"1970-01-03": 2}, {"1970-13-01"}),
        ("{YYYY}/{MM}/{DD}", "", ["1970/02/01", "1970/2/1"], {"1970/02/01": 31}, {"1970/2/1"}),
        ("{SPAN}/{VERSION}", "", ["1/1", "1/2", "2/1"], {"2/1": 2, "1/2": 1, "1/1": 1}, set()),
        ("{SPAN}.v{VERSION:2}", "", ["5.v01", "5.v10"], {"5.v10": 5, "5.v01": 5}, set()),
    ],
)
def test_a_pattern_finds_the_newest_span_and_version_first(tmp_path, pattern, folder, paths, spans, others):
    make_all(tmp_path, *paths)
    pattern = f"{tmp_path}/{pattern}"
    assert folder_of(pattern) == os.path.normpath(tmp_path / folder)
    found, left_out = find_spans(pattern)
    assert [(span.name, span.number) for span in found] == list(spans.items())
    assert {*left_out} == others
    assert all(span.path == f"{folder_of(pattern)}/{span.name}" for span in found)


def test_a_date_is_a_number_as_tfx_counts(tmp_path):
    make_all(tmp_path, "2026-01-03")
    ((span,), _) = find_spans(f"{tmp_path}/{{YYYY}}-{{MM}}-{{DD}}")
    assert utils.span_number_to_date(span.number) == (2026, 1, 3)


def test_a_folder_may_have_characters_that_a_regular_expression_knows(tmp_path):
    make_all(tmp_path, "a+b (1)$/7")
    assert names(find_spans(f"{tmp_path}/a+b (1)$/{{SPAN}}")[0]) == ["7"]


def test_two_paths_of_one_span_are_refused(tmp_path):
    make_all(tmp_path, "7", "07")
    with pytest.raises(SettingError) as error:
        find_spans(f"{tmp_path}/{{SPAN}}")
    assert (error.value.setting, error.value.failure.value) == ("data", f"{tmp_path}/{{SPAN}}")
    assert "07 and 7" in error.value.failure.valid


PATTERNS = [
    *(("{SPAN}", True), ("{SPAN:3}", True), ("{SPAN}/{VERSION:2}", True), ("{YYYY}{MM}{DD}", True)),
    *(("{VERSION}", False), ("{SPAN}{SPAN:2}", False), ("{YYYY}-{MM}", False), ("{YYYY}{MM}{DD}{DD}", False)),
    *(("{SPAN}{YYYY}{MM}{DD}", False), ("{SPAN}{VERSION}{VERSION:2}", False)),
]


@pytest.mark.parametrize(("pattern", "valid"), PATTERNS)
def test_the_settings_refuse_a_pattern_exactly_when_tfx_does(pattern, valid):
    accepted = []
    for check, error in (
        (lambda: check_pattern(pattern), SettingError),
        (lambda: any(utils.verify_split_pattern_specs(split(pattern))[:2]), ValueError),
    ):
        try:
            accepted.append(check() is not False)
        except error:
            accepted.append(False)
    assert accepted == [valid, valid]


def split(pattern):
    return example_gen_pb2.Input.Split(name="s", pattern=pattern)


@pytest.mark.parametrize("pattern", ["{FOO}", "{SPAN}/{DAY}", "{SPAN:0}", "{SPAN:x}", "{SPAN", "{SPAN}}", "{}"])
def test_braces_that_mean_nothing_are_refused(pattern):
    with pytest.raises(SettingError) as error:
        PipelineConfig(data=f"/photos/{pattern}")
    assert (error.value.setting, error.value.failure.value) == ("data", f"/photos/{pattern}")


@pytest.mark.parametrize(
    ("data", "name"),
    [("/nfs/photos/{SPAN}", "photos"), ("/nfs/photos/day={YYYY}-{MM}-{DD}/{VERSION}", "photos"), ("/a/b.c", "b-c")],
)
def test_the_series_is_named_for_the_folder_of_all_spans(data, name):
    assert PipelineConfig(data=data).name == f"vaeiaf-{name}"


def test_the_window_is_the_newest_spans_whatever_days_are_missing(place):
    folder = place(**{"3": 900, "10": 800, "2": 700, "1": 600})
    for count, expected in ((1, ["10"]), (2, ["3", "10"]), (9, ["1", "2", "3", "10"])):
        assert names(newest_complete(f"{folder}/{{SPAN}}", count, "", 15, NOW)) == expected


def test_a_span_that_still_changes_is_skipped_and_named(place, caplog):
    caplog.set_level("INFO")
    folder = place(**{"1": 900, "2": 16, "3": 14})
    assert names(newest_complete(f"{folder}/{{SPAN}}", 1, "", 15, NOW)) == ["2"]
    assert "span 3 is skipped: 3/a.png changed 14.0 minutes ago, not 15" in caplog.messages
    assert names(newest_complete(f"{folder}/{{SPAN}}", 1, "", 14, NOW)) == ["3"]
    (folder / "2/.a.png.part").touch()
    os.utime(folder / "2/.a.png.part", (NOW, NOW))
    assert names(newest_complete(f"{folder}/{{SPAN}}", 1, "", 15, NOW)) == ["1"], "a tool copies to hidden files first"


def test_of_a_span_the_newest_complete_version_counts(place):
    folder = place(**{"1__1": 900, "1__2": 800, "2__8": 700, "2__9": 1})
    assert names(newest_complete(f"{folder}/{{SPAN}}/{{VERSION}}", 2, "", 15, NOW)) == ["1/2", "2/8"]


def test_a_marker_makes_a_span_complete_whatever_its_age(place):
    folder = place(**{"1": 1, "2": 900})
    (folder / "1/_SUCCESS").touch()
    assert names(newest_complete(f"{folder}/{{SPAN}}", 2, "_SUCCESS", 15, NOW)) == ["1"]


def test_a_copy_that_keeps_the_times_of_its_files_has_just_arrived(tmp_path):
    (tmp_path / "a.png").write_bytes(b"image")
    for path in (tmp_path / "a.png", tmp_path):
        os.utime(path, (0, 0))
    arrived = os.stat(tmp_path).st_ctime
    assert incomplete(str(tmp_path), "", 15, arrived + 60)
    assert incomplete(str(tmp_path), "", 15, arrived + 3600) is None


def test_an_empty_span_and_one_that_is_gone_are_not_complete(tmp_path):
    (tmp_path / "cats").mkdir()
    assert incomplete(str(tmp_path), "", 0, 1e12) == "it is empty"
    (tmp_path / "cats/.a.png.part").touch()
    assert incomplete(str(tmp_path), "", 0, 1e12) == "it is empty", "hidden files are no data"
    assert "is gone" in incomplete(str(tmp_path / "gone"), "", 0, 1e12)


def test_a_span_may_be_a_file(tmp_path):
    (tmp_path / "7.npz").write_bytes(b"array")
    assert names(newest_complete(f"{tmp_path}/{{SPAN}}.npz", 1, "", 0, 1e12)) == ["7.npz"]


@pytest.mark.parametrize(
    ("marker", "valid"), [("", "a span without changes for 15 minutes"), ("OK", "a span with the file OK")]
)
def test_without_a_complete_span_nothing_can_be_done(place, marker, valid):
    folder = place(**{"1": 1, "2": 2})
    with pytest.raises(UserError) as error:
        newest_complete(f"{folder}/{{SPAN}}", 2, marker, 15, NOW)
    failure = error.value.failure
    assert (error.value.exit_code, failure.valid) == (2, valid)
    assert [reason.split(":")[0] for reason in failure.value] == ["2", "1"]


def test_a_marker_and_spans_that_are_files_are_refused_by_name(tmp_path):
    (tmp_path / "3.npz").touch()
    with pytest.raises(SettingError) as error:
        newest_complete(f"{tmp_path}/{{SPAN}}.npz", 1, "_SUCCESS", 0.0, 0.0)
    assert (error.value.setting, error.value.failure.value) == ("span_marker", "_SUCCESS")
    assert f"3.npz of {tmp_path}/{{SPAN}}.npz" in error.value.failure.valid


def test_without_any_span_what_lies_there_is_named(tmp_path):
    (pathlib.Path(tmp_path) / "readme").touch()
    with pytest.raises(UserError) as error:
        newest_complete(f"{tmp_path}/{{SPAN}}", 1, "", 15, NOW)
    assert error.value.failure.value == ["readme"]


def test_a_span_survives_json_whose_numbers_are_floats(tmp_path):
    make_all(tmp_path, "7/2")
    ((span,), _) = find_spans(f"{tmp_path}/{{SPAN}}/{{VERSION}}")
    fields = span._asdict()
    assert of_json({**fields, "number": 7.0, "version": 2.0}) == span
    assert of_json({**fields, "version": None}).version is None
    assert of_json(None) is None
