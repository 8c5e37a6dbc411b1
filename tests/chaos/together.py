"""Two runs at once in one state directory: the second reports the first, or the first is killed meanwhile."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos import judge, models
from tests.chaos.lab import RUN_SECONDS, Lab
from tests.chaos.processes import NODES
from tests.chaos.rows import Result


class Trial(NamedTuple):
    """A pair of runs."""

    name: str
    settings: tuple[str, str]
    node: str  # node of the first run at which the second starts; empty: both start together
    killed: bool  # the first is killed after the start of the second


def plan(seed: int) -> Iterator[Trial]:
    """Plans pairs with the same and with different settings, started together and at a random node."""
    rng = random.Random(f"{seed} together")
    for index in range(12):
        settings = ("plain", ("plain", "other")[index % 2])
        node = "" if index < 4 else rng.choice([node for node in NODES if node != "Tuner"])
        yield Trial(f"together {index}", settings, node, killed=index >= 8)


def run(lab: Lab, trial: Trial) -> list[Result]:
    """Judges both runs, and then a run of each on its own."""
    site, rng = lab.site(), lab.random(trial.name)
    first = site.start(trial.settings[0])
    if trial.node:
        first.wait_for_node(trial.node, RUN_SECONDS)
        first.wait_in_node(rng.random() * lab.seconds.get(trial.node, 0.1))
    second = site.start(trial.settings[1])
    if trial.killed:
        second.wait_in_node(rng.random() * 0.2)
        first.kill()
    runs = [second] if trial.killed else [first, second]
    for process in runs:
        process.wait(RUN_SECONDS)
    problems = [problem for process in runs for problem in judge.ending(process, [judge.PUSHED, judge.FAILED])]
    for process in runs:
        if process.code == judge.FAILED and "another run" not in " ".join(judge.sentences(process.console)):
            problems.append(f"the other run is not named: {judge.sentences(process.console)}")
    if not trial.killed and judge.PUSHED not in [process.code for process in runs]:
        problems.append("neither run succeeded")
    for number in models.versions(site.root):
        if models.weights(models.version_folder(site.root, number)) not in lab.references.values():
            problems.append(f"version {number} is none of the models")
    for settings in trial.settings:
        before = models.versions(site.root)
        alone = site.run(settings)
        problems += [f"alone: {problem}" for problem in judge.ending(alone, [judge.PUSHED])]
        problems += judge.served(site.root, alone, before, lab.references[settings])
    outcome = " and ".join({judge.PUSHED: "success", judge.FAILED: "busy"}.get(p.code or 0, str(p.code)) for p in runs)
    subject = "the first is killed" if trial.killed else "both live"
    result = Result("two runs at once", subject, outcome, problems, trial.name)
    site.keep(trial.name, [result])
    return [result]
