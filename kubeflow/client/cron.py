"""When a schedule fires, as Kubeflow reads it."""

import datetime
import re
import zoneinfo

from trainer.errors import UserError


def check_cron(cron: str) -> str:
    """`cron` with single blanks between its fields.

    Raises:
      UserError: it is no six-field cron. Kubeflow would read five fields too, as seconds, minutes, hours and so on.
    """
    fields = cron.split()
    if len(fields) == 5:
        raise UserError(
            f"--cron {cron!r} has five fields; Kubeflow wants seconds in front: --cron '0 {' '.join(fields)}'"
        )
    if len(fields) != 6 or not all(re.fullmatch(r"[\w*?/,-]+", field) for field in fields):
        raise UserError(
            f"--cron {cron!r}: expected second, minute, hour, day of month, month and day of week, as in '0 0 3 * * *'"
        )
    if not re.fullmatch(r"[0-5]?\d", fields[0]):
        raise UserError(f"--cron {cron!r}: expected a number of seconds first, as in '0 0 3 * * *', got {fields[0]!r}")
    return " ".join(fields)


def check_time_zone(wanted: str, cluster: str) -> None:
    """Kubeflow reads all crons of a cluster in one time zone, which only its administrator can change.

    Raises:
      UserError: there is no such zone, or its clocks are not those of the cluster's.
    """
    first = datetime.datetime.now()
    days = [first + datetime.timedelta(days=day) for day in range(366)]
    here, there = ([day.replace(tzinfo=_zone(name)).utcoffset() for day in days] for name in (wanted, cluster))
    if here != there:
        raise UserError(
            f"--time-zone {wanted}: Kubeflow reads every cron in one zone, here {cluster} (time_zone in cluster.yaml). "
            f"Give the hour in {cluster} with --time-zone {cluster}, or have {wanted} set as cronScheduleTimezone in "
            f"Kubeflow's ConfigMap pipeline-install-config, and time_zone in cluster.yaml"
        )


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"time zone {name}: expected a name of the IANA database, as Europe/Berlin") from None
