"""The data, the reference runs, and a state directory for each trial."""

import functools
import os
import pathlib
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable

from tests.chaos import models, recipes
from tests.chaos.processes import POLL_SECONDS, Run, in_child, start
from tests.chaos.rows import Result

RUN_SECONDS = 240.0  # a run that takes longer hangs; on an idle machine it takes 10 s
STATE = "root"  # name of the state directory of a trial


class Lab:
    """The folder of all trials, and the undisturbed runs with which they are compared."""

    def __init__(
        self, folder: pathlib.Path, seed: int, write_data: Callable[[pathlib.Path], None] = recipes.write_data
    ) -> None:
        self.folder, self.seed = folder, seed
        self.data = folder / "data"
        self.references: dict[str, str] = {}  # weights by settings
        self.seconds: dict[str, float] = {}  # duration of each node in an undisturbed run
        self.makers: dict[pathlib.Path, str] = {}  # settings of each model, by its path in the template
        (folder / "empty").mkdir(parents=True)
        in_child(write_data, self.data)

    def prepare(self, names: list[str]) -> None:
        """Runs the settings `names` undisturbed, in turn.

        Raises:
          RuntimeError: a run did not push.
        """
        for name in names:
            site = Site(self, self.folder / "references" / name)
            run = site.run(name)
            if run.code != 0:
                raise RuntimeError(f"the undisturbed run {name} ended with {run.code}:\n{run.console}")
            self.references[name] = site.weights()
            for node, seconds in re.findall(r"^(\w+) +([\d.]+) s$", run.console, re.MULTILINE):
                self.seconds[node] = max(self.seconds.get(node, 0.0), float(seconds), 0.05)
            shutil.rmtree(site.folder)

    def random(self, trial: str) -> random.Random:
        """Returns the random numbers of a trial, which the seed determines."""
        return random.Random(f"{self.seed} {trial}")

    def site(self) -> "Site":
        """Returns an empty folder for a trial, always the same one in a process."""
        place = self.folder / f"lane-{os.getpid()}"
        shutil.rmtree(place, ignore_errors=True)
        return Site(self, place)

    @functools.cached_property
    def template(self) -> pathlib.Path:
        """Makes a finished state directory with every kind of file, in the folder of this process's trials.

        `plain` and then `other` were pushed; `third` and `workers` were killed during their training.
        """
        site = self.site()
        for name in ("plain", "other"):
            site.run(name)
            for model in site.root.glob("artifacts/*/Trainer/model/*"):
                self.makers.setdefault(model.relative_to(site.root), name)
        for name, epoch in (("third", 5), ("workers", 3)):
            run = site.start(name)
            wait_for(run, f"epoch {epoch}/")
            run.kill()
        kept = self.folder / f"template-{os.getpid()}"
        shutil.copytree(site.root, kept, symlinks=True)
        return kept


class Site:
    """The folder of one trial: a state directory and the consoles of its runs."""

    def __init__(self, lab: Lab, folder: pathlib.Path) -> None:
        self.lab, self.folder = lab, folder
        self.root = folder / STATE
        self.runs: list[Run] = []
        folder.mkdir(parents=True)
        self.root.mkdir()
        shutil.copytree(lab.data, self.root / "datasets")

    def fill(self, template: pathlib.Path) -> None:
        """Copies `template` to the state directory, with the times of its files."""
        shutil.rmtree(self.root)
        subprocess.run(["cp", "-a", str(template), str(self.root)], check=True)

    @property
    def environment(self) -> dict[str, str]:
        """Returns the environment of a run, which finds the data set only in the state directory."""
        return {"TFDS_DATA_DIR": str(self.lab.folder / "empty"), "TF_CPP_MIN_LOG_LEVEL": "2"}

    def start(self, name: str, main: Callable[[], int] | None = None) -> Run:
        """Starts a run with the settings `name`."""

        def run_pipeline() -> int:
            from pipeline import cli

            return cli.main(recipes.arguments(self.root, name))

        console = self.folder / f"console-{len(self.runs)}-{name}.txt"
        run = start(main or run_pipeline, console, self.environment, self.folder / "tmp")
        self.runs.append(run)
        return run

    def run(self, settings: str) -> Run:
        """Runs `settings` to the end."""
        run = self.start(settings)
        run.wait(RUN_SECONDS)
        return run

    def weights(self) -> str:
        """Returns the weights of the newest pushed version."""
        return models.weights(models.version_folder(self.root, max(models.versions(self.root))))

    def keep(self, trial: str, results: list[Result]) -> None:
        """Keeps the folder of a trial that has a problem."""
        if not any(result.problems for result in results):
            return
        kept = self.lab.folder / "failures" / trial.replace(" ", "-")
        shutil.copytree(self.folder, kept, symlinks=True, dirs_exist_ok=True)
        (kept / "why.txt").write_text("\n".join(f"{result}" for result in results) + f"\nseed {self.lab.seed}\n")
        for result in results:
            result.kept = str(kept)


def wait_for(run: Run, text: str, seconds: float = RUN_SECONDS) -> bool:
    """Waits for `text` on the console; returns False if the run ends or the time is over first."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if text in run.console:
            return True
        if run.ended():
            return False
        time.sleep(POLL_SECONDS)
    return False
