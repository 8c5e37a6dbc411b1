"""Checks of a schedule's times, which Kubeflow would misread in silence."""

import datetime
import re
import zoneinfo

from trainer.errors import UserError


def check_cron(cron: str) -> str:
    """Returns `cron` with single blanks between its fields.

    Raises:
      UserError: it is no six-field cron. Of five fields, Kubeflow would read the first as seconds.
    """
    text = " ".join(cron.split())
    if not re.fullmatch(r"[0-5]?\d( [\w*?/,-]+){5}", text):
        remedy = f"Kubeflow wants seconds first: --cron '0 {text}'" if text.count(" ") == 4 else ""
        valid = "a number of seconds, then minute, hour, day of month, month and day of week, as in '0 0 3 * * *'"
        raise UserError("--cron", value=cron, valid=valid, remedy=remedy)
    return text


def check_time_zone(wanted: str, cluster: str) -> None:
    """Checks that the clocks of two time zones agree. Kubeflow reads all crons of a cluster in one zone.

    Raises:
      UserError: a zone does not exist, or their clocks differ within a year.
    """
    first = datetime.datetime.now()
    days = [first + datetime.timedelta(days=day) for day in range(366)]
    ours, theirs = ([day.replace(tzinfo=_zone(name)).utcoffset() for day in days] for name in (wanted, cluster))
    if ours != theirs:
        raise UserError(
            "--time-zone",
            value=wanted,
            valid=f"{cluster}, the time_zone of cluster.yaml, in which Kubeflow reads every cron",
            remedy=f"Give the hour in {cluster}, or have an administrator set cronScheduleTimezone in Kubeflow's "
            f"ConfigMap pipeline-install-config to {wanted}, and set time_zone",
        )


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        valid = "a name of the IANA database, such as Europe/Berlin"
        raise UserError("the time zone", value=name, valid=valid) from None
