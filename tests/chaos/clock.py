"""Sets the clock back or forward between two runs, and during a training that resumes."""

import os
import pathlib
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos import judge, models, recipes
from tests.chaos.lab import RUN_SECONDS, Lab, Site, wait_for
from tests.chaos.processes import Run
from tests.chaos.rows import Result

DAY = 86400
LIBRARY = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)  # Debian


class Trial(NamedTuple):
    """A sequence of runs in one state directory."""

    name: str
    subject: str
    runs: list[tuple[str, str, int]]  # settings; epoch line after which the run is killed, or ""; clock offset in days

    @property
    def settings(self) -> list[str]:
        """Returns the settings of its runs."""
        return [settings for settings, _, _ in self.runs]


def plan() -> Iterator[Trial]:
    """Returns a trial for each moment at which a clock may change."""
    yield Trial("clock 0", "set back after a push", [("plain", "", 0), ("other", "", -1), ("other", "", -1)])
    yield Trial("clock 1", "was ahead at a push", [("plain", "", 1), ("other", "", 0), ("other", "", 0)])
    yield Trial("clock 2", "set back amid a training", [("third", "epoch 9/", 0), ("third", "", -1)])
    yield Trial("clock 3", "was ahead amid a training", [("third", "epoch 9/", 1), ("third", "", 0)])
    yield Trial("clock 4", "forward 40 days amid a training", [("third", "epoch 9/", 0), ("third", "", 40)])
    yield Trial("clock 5", "set back between runs of workers", [("workers", "epoch 3/", 0), ("workers", "", -1)])


def run(lab: Lab, trial: Trial) -> list[Result]:
    """Executes the runs and judges those that are not killed."""
    result = Result("clock", trial.subject, "success", trial=trial.name)
    if LIBRARY is None:
        result.outcome = "LEFT OUT: libfaketime is not installed"
        return [result]
    site = lab.site()
    for number, (settings, text, days) in enumerate(trial.runs):
        before = models.versions(site.root)
        process = _start(site, settings, days)
        if text:
            wait_for(process, text)
            process.kill()
            continue
        process.wait(RUN_SECONDS)
        problems = judge.ending(process, [judge.PUSHED])
        problems += judge.served(site.root, process, before, lab.references[settings])
        if number and trial.runs[number - 1][1] and "epoch 1/" in process.console:
            problems.append("the training began anew")
        result.problems += [f"run {number + 1}: {problem}" for problem in problems]
        result.outcome = result.outcome if process.code == judge.PUSHED else f"exit code {process.code}"
    site.keep(trial.name, [result])
    return [result]


def _start(site: Site, settings: str, days: int) -> Run:
    """Runs with a clock that is `days` off, in a new Python: the loader must find the library at its start."""
    if not days:
        return site.start(settings)
    command = [sys.executable, "-m", "pipeline", *recipes.arguments(site.root, settings)]
    variables = {**site.environment, "LD_PRELOAD": str(LIBRARY), "FAKETIME": f"{days * DAY:+d}"}

    def main() -> int:
        os.execve(sys.executable, command, {**os.environ, **variables})

    return site.start(settings, main)
