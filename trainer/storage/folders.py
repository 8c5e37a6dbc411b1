"""Names of folders that a user gives: which of them work everywhere, and what they mean."""

import os
import unicodedata

from trainer.schema import SettingError

PATTERN = "*?[\\"  # TensorFlow, TFX and Beam take names with these for patterns of names


def checked_folder(setting: str, name: str) -> str:
    """The absolute path of the folder `name`, of which a leading ~ is expanded as shells do.

    Raises:
      SettingError: no folder of this name can be used; `setting` is what gives it.
    """
    if expected := name_fault(name):
        raise SettingError(setting, expected, name)
    path = os.path.abspath(os.path.expanduser(name))
    if expected := name_fault(path):  # of the working directory
        raise SettingError(setting, expected, path)
    return path


def name_fault(name: str) -> str | None:
    """What is expected of a folder's name if `name` is not that, else None."""
    if not name.strip():
        return "the name of a folder"
    if not _is_utf8(name):
        return "a folder whose name is valid UTF-8"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "a folder without control characters in its name"
    if any(character in name for character in PATTERN):
        return f"a folder without {' '.join(PATTERN)} in its name, which are taken for a pattern"
    return None


def _is_utf8(name: str) -> bool:
    """Whether `name` is the same to TensorFlow, which takes UTF-8, as to Python, which takes the locale's encoding."""
    try:
        return name.encode() == os.fsencode(name)
    except UnicodeEncodeError:
        return False
