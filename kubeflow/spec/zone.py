"""The time zone of a schedule."""

import zoneinfo

from trainer.schema import SettingError


def zone(setting: str, name: str) -> zoneinfo.ZoneInfo:
    """Returns the time zone `name`, a value of `setting`.

    Raises:
      SettingError: there is none of that name.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingError(setting, "a name of the IANA database, such as Europe/Berlin", name) from None
