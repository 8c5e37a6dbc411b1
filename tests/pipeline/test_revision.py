from importlib import metadata

import pytest

from pipeline.revision import release, revision


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("0123456789abcdef0123456789abcdef01234567", "0123456789ab"),
        ("0123456789abcdef0123456789abcdef01234567-dirty", "0123456789ab-dirty"),
        ("abc", "abc"),
        ("v1", "v1"),
        ("unknown", "unknown"),
    ],
)
def test_a_revision_is_short_and_says_if_the_sources_were_changed(monkeypatch, given, shown):
    monkeypatch.setenv("VAEIAF_REVISION", given)
    assert revision() == shown


def test_a_revision_is_gits_or_the_releases_where_no_image_names_it(monkeypatch):
    monkeypatch.delenv("VAEIAF_REVISION", raising=False)
    assert revision()
    monkeypatch.setattr("pipeline.revision._of_git", lambda: "")
    monkeypatch.setenv("VAEIAF_VERSION", "9.8.7")
    assert revision() == release() == "9.8.7"


def test_sources_that_are_not_installed_have_an_unknown_release(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.delenv("VAEIAF_VERSION", raising=False)
    monkeypatch.setattr(metadata, "version", missing)
    assert release() == "unknown"
