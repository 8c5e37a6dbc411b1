"""`python -m tests.chaos`: disturbs runs, prints a table, and fails if a run did not end as it should."""

import argparse
import concurrent.futures
import ctypes
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported

from tests.chaos import clock, damages, database, disk, kills, together
from tests.chaos.lab import Lab
from tests.chaos.processes import import_all
from tests.chaos.rows import Result, failures, table


class Task(NamedTuple):
    """A trial and the function that runs it."""

    run: Callable[[Lab, Any], list[Result]]
    trial: Any


SCENARIOS: dict[str, Callable[[argparse.Namespace], list[Task]]] = {
    "kills": lambda options: [Task(kills.run, trial) for trial in kills.plan(options.seed, options.kills)],
    "damages": lambda options: [Task(damages.run, trial) for trial in damages.plan(options.seed, options.damages)],
    "disk": lambda options: [Task(disk.run, trial) for trial in disk.plan(options.seed)],
    "clock": lambda options: [Task(clock.run, trial) for trial in clock.plan()],
    "together": lambda options: [Task(together.run, trial) for trial in together.plan(options.seed)],
    "database": lambda options: [Task(database.run, trial) for trial in database.plan(options.seed)],
}
CLONE_NEWNS = 0x20000  # Linux, for unshare(2)
_lab: Lab  # the lab of this process, set before it forks


def main() -> int:
    """Runs the selected scenarios; returns 1 if one failed."""
    options = _options()
    tasks = [task for name in options.only for task in SCENARIOS[name](options)]
    if options.trial:
        tasks = [task for task in tasks if task.trial.name in options.trial]
    print(f"{len(tasks)} trials with seed {options.seed}, {options.jobs} at a time, in {options.folder}", flush=True)
    _own_mounts()
    import_all()
    _say_where()
    global _lab
    _lab = Lab(options.folder, options.seed)
    started = time.monotonic()
    _lab.prepare(sorted({name for task in tasks for name in _settings(task)}))
    print(f"reference runs took {time.monotonic() - started:.0f} s", flush=True)
    results = _carry_out(tasks, options.jobs, started)
    print(f"\n{table(results)}\n")
    wrong = [result for result in results if result.problems]
    minutes = (time.monotonic() - started) / 60
    print(f"{len(results)} disturbances in {minutes:.0f} minutes, seed {options.seed}: {len(wrong)} failures")
    if wrong:
        print(failures(results))
        return 1
    shutil.rmtree(options.folder)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of targets, files and damages (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=200, help="number of SIGKILLs (default: %(default)s)")
    parser.add_argument("--damages", type=int, default=105, help="number of damaged files (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS), help="scenarios to run")
    parser.add_argument("--trial", nargs="+", metavar="NAME", help="trials to repeat, as in --trial 'kills 3'")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time (default: %(default)s)")
    parser.add_argument("--folder", type=pathlib.Path, help="new folder for everything (default: a temporary one)")
    options = parser.parse_args()
    options.folder = (options.folder or pathlib.Path(tempfile.mkdtemp(prefix="vaeiaf-chaos-"), "lab")).absolute()
    return options


def _own_mounts() -> None:
    """Gives these processes a mount namespace, which unmounts all when the last ends; without root it skips disks."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def _say_where() -> None:
    import pipeline

    print(f"the code is that of {pathlib.Path(pipeline.__file__ or '').parent.parent}", flush=True)


def _settings(task: Task) -> list[str]:
    """Returns the settings whose undisturbed weights the task needs."""
    settings = getattr(task.trial, "settings", None)
    names = [settings] if isinstance(settings, str) else list(settings or ())
    return [name for name in (*names, "plain", "other") if name != "worse"]


def _carry_out(tasks: list[Task], jobs: int, started: float) -> list[Result]:
    """Runs all trials, `jobs` at a time, each in a forked process."""
    results: list[Result] = []
    with concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        waiting = {pool.submit(_carry_out_one, task): task for task in tasks}
        for done, future in enumerate(concurrent.futures.as_completed(waiting), 1):
            new = future.result()
            results += new
            seconds = int(time.monotonic() - started)
            for result in new:
                state = f"FAILED: {'; '.join(result.problems)[:400]}" if result.problems else "ok"
                print(
                    f"[{done}/{len(tasks)} {seconds // 60}:{seconds % 60:02d}] {result.trial}: {result.scenario}, "
                    f"{result.subject}: {result.outcome}: {state}",
                    flush=True,
                )
    return results


def _carry_out_one(task: Task) -> list[Result]:
    try:
        return task.run(_lab, task.trial)
    except Exception:
        return [Result("harness", task.trial.name, "broke", [traceback.format_exc()], task.trial.name)]


if __name__ == "__main__":
    sys.exit(main())
