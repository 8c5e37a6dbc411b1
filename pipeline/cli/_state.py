"""Options and words of the commands that read or change a state directory."""

import argparse
import datetime
import math

from pipeline.cli._errand import add_errand
from pipeline.cli._options import add_root
from pipeline.cli._output import add_json


def add_state(parser: argparse.ArgumentParser) -> None:
    """Adds the state directory or the cluster that has it, the pipeline in it, and the form of the output."""
    add_root(parser)
    add_errand(parser)
    add_pipeline(parser)
    add_json(parser)


def add_pipeline(parser: argparse.ArgumentParser) -> None:
    """Adds the pipeline."""
    parser.add_argument(
        "--pipeline", metavar="NAME", help="such as vaeiaf-cifar10, where the state directory has several"
    )


def elbo(value: float | None, error: float | None) -> str:
    """Returns an ELBO with half the width of its 95 % interval, from its standard error."""
    from trainer.intervals import Z

    if value is None:
        return ""
    return f"{value:.2f}" if error is None else f"{value:.2f} ± {Z * error:.2f}"


def minute(time: datetime.datetime) -> str:
    """Returns a time to the minute."""
    return f"{time:%Y-%m-%d %H:%M}"


def duration(seconds: float) -> str:
    """Returns seconds as hours, minutes or seconds."""
    whole = math.floor(seconds + 0.5)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{seconds:.1f} s"


def size(count: int) -> str:
    """Returns bytes as megabytes."""
    return f"{count / 1e6:,.1f} MB"
