"""Folder names that work everywhere are expanded as in a shell; others are refused by name."""

import os

import pytest

from trainer.schema import SettingError
from trainer.storage.folders import checked_folder

TAKEN = [
    "per%2Fcent",
    "a#b",
    "a b",
    " a ",
    "Größe漢",
    "cu{a,b}",
    "a]b",
    "a~b",
    "co:lon",
    "quo'te",
    'quo"te',
    "$x",
    "a&b",
]
REFUSED = {
    "": "name",
    " \t": "name",
    "a*": "pattern",
    "a?": "pattern",
    "a[1]": "pattern",
    "a\\b": "pattern",
    "a\nb": "control",
    "a\x7f": "control",
    "a\0b": "control",
    "a\udcff": "UTF-8",
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_that_works_is_made_absolute(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert checked_folder("root", name) == f"{tmp_path}/{name}"


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_does_not_work_is_refused_by_its_setting(name):
    with pytest.raises(SettingError) as error:
        checked_folder("root", name)
    assert (error.value.setting, error.value.failure.value) == ("root", name)
    assert REFUSED[name] in error.value.failure.valid


def test_a_leading_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert checked_folder("root", "~") == "/home/me"
    assert checked_folder("root", "~/x") == "/home/me/x"


def test_a_locale_without_the_name_refuses_it(monkeypatch):
    """Python and TensorFlow would encode the name differently."""
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("latin-1"))
    with pytest.raises(SettingError) as error:
        checked_folder("root", "Größe")
    assert "UTF-8" in error.value.failure.valid
    assert checked_folder("root", "/plain") == "/plain"
