"""Damages files of a state directory before or during a run: nothing damaged is used or served."""

import random
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos import judge, models
from tests.chaos.damage import KINDS, WAYS, Damage, damage, files
from tests.chaos.lab import RUN_SECONDS, Lab, Site
from tests.chaos.processes import NODES, Run
from tests.chaos.rows import Result

FINISHED, RUNNING = "damage, finished", "damage, running"
# A run of the settings that made the file is known to end well, because it can make the file again, or needs no such.
MENDED = {
    *("Examples", "statistics", "anomalies", "transform graph", "model run", "push record", "report", "pushed version"),
    *("check", "checkpoint", "workers' job", "training", "log", "lock"),
}
# The nodes that may take their result from the cache, by the kind of their artifact.
CACHED = {
    "Examples": "ImageExampleGen",
    "statistics": "StatisticsGen",
    "transform graph": "Transform",
    "model": "Trainer",
    "check": "ServingCheck",
}
UNAIMED = ("push record", "other")  # a run usually leaves no file of these kinds
SETTINGS_OF = {"checkpoint": "third", "workers' job": "workers", "training": "workers"}


class Trial(NamedTuple):
    """One damage."""

    name: str
    running: bool  # damages during a run, not before it
    kind: str
    way: str
    settings: str  # of the disturbed run, or of the first run after the damage
    node: str  # node of the disturbed run


def plan(seed: int, count: int) -> Iterator[Trial]:
    """Plans the trials: two of three in a finished state directory, with every kind of file and every way in turn."""
    rng = random.Random(f"{seed} damages")
    kinds = [kind for kind in KINDS if kind not in UNAIMED] + ["digests", "model", "pushed version", "Examples"]
    waiting: list[tuple[str, bool]] = []
    for index in range(count):
        if not waiting:
            waiting = [(kind, running) for kind in kinds for running in (False, False, True)]
            rng.shuffle(waiting)
        kind, running = waiting.pop()
        settings = SETTINGS_OF.get(kind) or rng.choice(["other", "other", "other", "plain", "worse", "worse"])
        yield Trial(f"damages {index}", running, kind, rng.choice(WAYS), settings, rng.choice(NODES))


def run(lab: Lab, trial: Trial) -> list[Result]:
    """Damages a file and judges the next two runs."""
    template = lab.template
    site, rng = lab.site(), lab.random(trial.name)
    site.fill(template)
    result = Result(RUNNING if trial.running else FINISHED, trial.kind, "", trial=trial.name)
    done = _under_way(site, trial, rng, result) if trial.running else _damage(site, trial, rng)
    if done is None:
        result.outcome = "no such file yet"
        return [result]
    broken = {models.tree(folder) for folder in _models_around(site, done)}
    codes = []
    for turn in range(2):
        before = models.versions(site.root)
        process = site.run(trial.settings)
        problems = judge.ending(process, _allowed(trial, done, site))
        reference = None if trial.settings == "worse" else lab.references[trial.settings]
        problems += judge.served(site.root, process, before, reference, broken)
        problems += _reused(site, trial, done, process)
        if turn and process.code not in (codes[0], judge.PUSHED, judge.REFUSED):
            problems.append(f"exit code {process.code} after {codes[0]}")
        codes.append(process.code)
        where = f"{done.way} {done.path.relative_to(site.root)}, {trial.settings}, run {turn + 1}"
        result.problems += [f"{where}: {problem}" for problem in problems]
    result.outcome = _words(codes, site.runs[-2:])
    site.keep(trial.name, [result])
    return [result]


def _under_way(site: Site, trial: Trial, rng: random.Random, result: Result) -> Damage | None:
    """Damages a file during `trial.node`. That run only needs to end: it may have read the file already."""
    process = site.start(trial.settings)
    done = None
    if process.wait_for_node(trial.node, RUN_SECONDS):
        time.sleep(rng.random() * site.lab.seconds.get(trial.node, 0.1))
        done = _damage(site, trial, rng)
    process.wait(RUN_SECONDS)
    result.problems += [f"run under way: {problem}" for problem in judge.ending(process)]
    return done


def _damage(site: Site, trial: Trial, rng: random.Random) -> Damage | None:
    for _ in range(10):  # the run may move or remove files meanwhile
        found = files(site.root).get(trial.kind)
        if not found:
            return None
        if trial.kind == "pushed version":  # the newest version is served
            newest = str(max(models.versions(site.root), default=0))
            found = [path for path in found if newest in path.parts]
        try:
            return damage(rng.choice(found), trial.way, rng)
        except FileNotFoundError:
            continue
    return None


def _allowed(trial: Trial, done: Damage, site: Site) -> list[int]:
    """Returns the valid exit codes after the damage."""
    good = judge.REFUSED if trial.settings == "worse" else judge.PUSHED
    if trial.kind in MENDED:
        return [good]
    if trial.kind == "data set":
        return [good, judge.BAD_INPUT]
    return [good, judge.FAILED, judge.BAD_INPUT]


def _models_around(site: Site, done: Damage) -> list:
    """Returns the folders from which a damaged model would be served: the damaged file's, and its copy."""
    parents = [parent for parent in done.path.parents if (parent / "variables").is_dir()]
    return [parent for parent in parents if site.root in parent.parents]


def _reused(site: Site, trial: Trial, done: Damage, process: Run) -> list[str]:
    """Returns a problem if a node took a result from the cache while one of its files is damaged."""
    node = CACHED.get(trial.kind)
    if trial.running or node is None or not done.is_there() or trial.settings not in ("other", "plain"):
        return []
    if node == "Trainer" and _maker(site, done) != trial.settings:
        return []
    if f"\n{node:<24}  cached" in f"\n{process.console}":
        return [f"{node} took its damaged result from the cache"]
    return []


def _maker(site: Site, done: Damage) -> str | None:
    """Returns the settings of the run that made the damaged model."""
    found = (
        site.lab.makers.get(parent.relative_to(site.root))
        for parent in done.path.parents
        if site.root in parent.parents
    )
    return next((maker for maker in found if maker), None)


def _words(codes: list[int | None], runs: list[Run]) -> str:
    words = {judge.PUSHED: "success", judge.REFUSED: "refused", judge.FAILED: "1", judge.BAD_INPUT: "2", None: "hung"}
    names = [words.get(code, str(code)) for code in codes]
    return names[0] if names[0] == names[1] else " then ".join(names)
