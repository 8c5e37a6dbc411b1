"""Checks of a schedule's times, which Kubeflow would misread in silence."""

import datetime
import re

from kubeflow.spec.zone import zone
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
    zones = zone("--time-zone", wanted), zone("time_zone", cluster)
    ours, theirs = ([day.replace(tzinfo=found).utcoffset() for day in days] for found in zones)
    if ours != theirs:
        valid = f"{cluster}, the time_zone of cluster.yaml, in which Kubeflow reads every cron"
        remedy = (
            f"Give the hour in {cluster}, or have an administrator set cronScheduleTimezone in Kubeflow's ConfigMap "
            f"pipeline-install-config to {wanted}, and set time_zone"
        )
        raise UserError("--time-zone", value=wanted, valid=valid, remedy=remedy)
