"""Kills every node and worker at random times: later runs end as if nothing had happened."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos import judge, models
from tests.chaos.lab import Lab, Site, wait_for
from tests.chaos.processes import NODES, Run
from tests.chaos.recipes import RECIPE, SETTINGS
from tests.chaos.rows import Result

KILLS_A_SEQUENCE = 5
# The settings of the sequences, in turn: half of them train in one process.
TURNS = ("plain", "workers", "third", "tuned")
SOONEST = 0.05  # minimum seconds of a node
EPOCH_SECONDS = 0.1  # a kill follows the end of an epoch within this time


class Aim(NamedTuple):
    """The time and the victim of a kill."""

    node: str
    fraction: float  # of the node's time in an undisturbed run
    epoch: int  # of the training, after which to kill; 0: by time alone
    victim: str  # run, worker or all


class Sequence(NamedTuple):
    """A sequence of kills in one state directory, each followed by a run that resumes."""

    name: str
    settings: str
    aims: list[Aim]


def plan(seed: int, count: int) -> Iterator[Sequence]:
    """Plans sequences with a total of `count` kills: every node in turn, the Trainer more often."""
    rng = random.Random(f"{seed} kills")
    waiting: list[str] = []
    for index in range(-(-count // KILLS_A_SEQUENCE)):
        settings = TURNS[index % len(TURNS)]
        length = min(KILLS_A_SEQUENCE, count - index * KILLS_A_SEQUENCE)
        aims: list[Aim] = []
        while len(aims) < length:
            if not waiting:
                waiting = [*NODES, "Trainer", "Trainer"]
                rng.shuffle(waiting)
            node = waiting.pop()
            aims.append(_aim(rng, "Trainer" if node == "Tuner" and settings != "tuned" else node, settings))
        yield Sequence(f"kills {index}", settings, sorted(aims, key=lambda aim: NODES.index(aim.node)))


def _aim(rng: random.Random, node: str, settings: str) -> Aim:
    epochs = SETTINGS[settings][0].get("epochs", RECIPE["epochs"])
    victims = ("run", "worker", "worker", "all") if settings == "workers" else ("run",)
    return Aim(
        node, rng.random(), rng.choice([0, rng.randint(1, epochs)]) if node == "Trainer" else 0, rng.choice(victims)
    )


def run(lab: Lab, sequence: Sequence) -> list[Result]:
    """Executes a sequence of kills and a last, undisturbed run."""
    site, rng = lab.site(), lab.random(sequence.name)
    results = [_kill(site, sequence, aim, rng) for aim in sequence.aims]
    last = site.run(sequence.settings)
    problems = judge.ending(last, [judge.PUSHED])
    problems += judge.served(site.root, last, {}, lab.references[sequence.settings])
    if len(pushed := models.versions(site.root)) > 1:
        problems.append(f"one model was pushed as the versions {list(pushed)}")
    results[-1].problems += problems
    site.keep(sequence.name, results)
    return results


def _kill(site: Site, sequence: Sequence, aim: Aim, rng: random.Random) -> Result:
    """Kills a run. If it ends first, judges it and kills the next run in its Evaluator."""
    problems: list[str] = []
    for node, epoch, part in ((aim.node, aim.epoch, 1.0), ("Evaluator", 0, 0.3), ("Evaluator", 0, 0.0)):
        before = models.versions(site.root)
        process = site.start(sequence.settings)
        if _reached(process, node, epoch):
            seconds = EPOCH_SECONDS if epoch else site.lab.seconds.get(node, SOONEST)
            process.wait_in_node(part * aim.fraction * seconds)
        if process.ended():
            problems += judge.ending(process, [judge.PUSHED])
            problems += judge.served(site.root, process, before, site.lab.references[sequence.settings])
            continue
        where = process.node() or "start"
        victim = process.kill(aim.victim, rng)
        if victim == "worker":
            process.wait(120.0)
            problems += judge.ending(process)
        elif process.hung:
            problems.append("a worker outlived its run by 20 s")
        subject = f"{where}, {victim} of 2 workers" if victim != "run" else where
        outcome = {judge.FAILED: "one sentence", judge.PUSHED: "had ended"}.get(process.code or 0, "killed")
        return Result("SIGKILL", subject, outcome, problems, sequence.name)
    return Result("SIGKILL", "missed", "ended before", problems, sequence.name)


def _reached(process: Run, node: str, epoch: int) -> bool:
    if epoch:
        return wait_for(process, f"epoch {epoch}/")
    return process.wait_for_node(node, 120.0)
