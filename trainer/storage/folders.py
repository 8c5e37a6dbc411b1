"""Checks of the folder names that a user gives."""

import os
import unicodedata

from trainer.schema import SettingError

PATTERN = "*?[\\"  # TensorFlow, TFX and Beam treat names with these characters as patterns


def checked_folder(setting: str, name: str) -> str:
    """Returns the absolute path of the folder `name`, with a leading ~ expanded.

    Raises:
      SettingError: the name, a value of `setting`, cannot be used.
    """
    if expected := name_fault(name):
        raise SettingError(setting, expected, name)
    path = os.path.abspath(os.path.expanduser(name))
    if expected := name_fault(path):  # the working directory has an unusable name
        raise SettingError(setting, expected, path)
    return path


def name_fault(name: str) -> str | None:
    """Returns what is expected of a folder's name if `name` is unusable, else None."""
    if not name.strip():
        return "the name of a folder"
    if not _is_utf8(name):
        return "a folder whose name is valid UTF-8"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "a folder without control characters in its name"
    if any(character in name for character in PATTERN):
        return f"a folder without {' '.join(PATTERN)} in its name, which make it a pattern"
    return None


def _is_utf8(name: str) -> bool:
    """Tells whether TensorFlow, which uses UTF-8, and Python, which uses the locale, encode `name` alike."""
    try:
        return name.encode() == os.fsencode(name)
    except UnicodeEncodeError:
        return False
