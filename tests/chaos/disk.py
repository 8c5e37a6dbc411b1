"""Fills the disk during each node, makes a state directory read-only, and moves one."""

import contextlib
import os
import pathlib
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.chaos import judge
from tests.chaos.lab import Lab, Site, wait_for
from tests.chaos.processes import NODES
from tests.chaos.rows import Result

FULL, READ_ONLY, MOVED = "disk full", "read-only", "moved"
SIZE = "96m"  # size of the tmpfs; a run leaves about 10 MB
FREE_BYTES = (0, 4096, 100_000, 1_000_000)  # left on the full disk
FULL_WORDS = re.compile(r"no space|cannot be written|disk is full|disk of", re.IGNORECASE)
PLACES = (".", "artifacts", "pushed", "training", "logs")


class Trial(NamedTuple):
    """One disturbance of a disk."""

    name: str
    scenario: str
    place: str  # FULL: node during which it fills up; READ_ONLY: folder; MOVED: settings of the run
    free: int = 0
    epoch: int = 0  # FULL: epoch after which it fills up; 0: at the start of the node

    @property
    def settings(self) -> list[str]:
        """Returns the settings of its runs."""
        return [self.place if self.scenario == MOVED else "plain"]


def plan(seed: int) -> Iterator[Trial]:
    """Plans two full disks for each node, six for the training, and a read-only trial for each folder."""
    rng = random.Random(f"{seed} disk")
    full = [(node, 0) for node in NODES if node != "Tuner" for _ in range(2)]
    full += [("Trainer", epoch) for epoch in rng.sample(range(1, 30), 6)]
    trials = [(FULL, node, rng.choice(FREE_BYTES), epoch) for node, epoch in full]
    trials += [(READ_ONLY, place, 0, 0) for place in PLACES]
    trials += [(MOVED, settings, 0, 0) for settings in ("other", "worse", "third")]
    for index, trial in enumerate(trials):
        yield Trial(f"disk {index}", *trial)


def run(lab: Lab, trial: Trial) -> list[Result]:
    """Disturbs the disk, judges the run, restores the disk, and judges the next run."""
    site = lab.site()
    result = Result(trial.scenario, trial.place, "", trial=trial.name)
    work: dict[str, Callable[[Site, Trial, Result], None]] = {FULL: _full, READ_ONLY: _read_only, MOVED: _moved}
    try:
        work[trial.scenario](site, trial, result)
        site.keep(trial.name, [result])
    except subprocess.CalledProcessError as error:
        result.outcome = f"LEFT OUT: {error.cmd[0]} needs root"
    finally:
        for place in (*(site.root / place for place in PLACES[1:]), site.root):
            if os.path.ismount(place):
                subprocess.run(["umount", "--lazy", str(place)], check=True)
    return [result]


def _full(site: Site, trial: Trial, result: Result) -> None:
    _mount(site.root, f"size={SIZE}")
    shutil.copytree(site.lab.data, site.root / "datasets")
    process = site.start("plain")
    filler = site.root / "filler"
    if wait_for(process, f"epoch {trial.epoch}/") if trial.epoch else process.wait_for_node(trial.place, 120.0):
        _fill(filler, trial.free)
    process.wait(240.0)
    result.problems += judge.ending(process, [judge.PUSHED, judge.FAILED])
    if process.code == judge.FAILED and not FULL_WORDS.search(said := "".join(judge.sentences(process.console))):
        result.problems.append(f"a full disk is not named: {said[:200]}")
    result.problems += judge.served(site.root, process, {}, site.lab.references["plain"])
    result.outcome = "one sentence" if process.code == judge.FAILED else f"exit code {process.code}"
    filler.unlink(missing_ok=True)
    _again(site, result)


def _read_only(site: Site, trial: Trial, result: Result) -> None:
    place = site.root / trial.place
    place.mkdir(exist_ok=True)
    _mount(place, "ro")
    process = site.run("plain")
    result.problems += judge.ending(process, [judge.FAILED, judge.BAD_INPUT])
    result.outcome = "one sentence" if process.code in (judge.FAILED, judge.BAD_INPUT) else f"exit code {process.code}"
    subprocess.run(["umount", "--lazy", str(place)], check=True)
    _again(site, result)


def _moved(site: Site, trial: Trial, result: Result) -> None:
    template = site.lab.template
    shutil.rmtree(site.folder)
    moved = Site(site.lab, site.folder / "elsewhere")
    moved.fill(template)
    process = moved.run(trial.place)
    good = judge.REFUSED if trial.place == "worse" else judge.PUSHED
    result.problems += judge.ending(process, [good])
    before = judge.models.versions(template)
    reference = None if trial.place == "worse" else site.lab.references[trial.place]
    result.problems += judge.served(moved.root, process, before, reference)
    if trial.place == "other" and "UNCHANGED" not in process.console:
        result.problems.append("a model that was not changed is not called unchanged")
    if trial.place == "third" and "epoch 1/" in process.console:
        result.problems.append("the training began anew")
    result.outcome = f"exit code {process.code}"


def _again(site: Site, result: Result) -> None:
    before = judge.models.versions(site.root)
    process = site.run("plain")
    problems = judge.ending(process, [judge.PUSHED])
    problems += judge.served(site.root, process, before, site.lab.references["plain"])
    if len(versions := judge.models.versions(site.root)) > 1:
        problems.append(f"one model was pushed as the versions {list(versions)}")
    result.problems += [f"after it: {problem}" for problem in problems]


def _mount(folder: pathlib.Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)


def _fill(filler: pathlib.Path, free: int) -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    with contextlib.suppress(OSError):
        os.truncate(filler, max(0, filler.stat().st_size - free))
