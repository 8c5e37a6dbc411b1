"""The points of a training whose quality is measured: how many steps it has, and where it is evaluated.

The clock counts the seconds of this process's threads, divided by the number of cores, which other work on the machine
adds little to. It stands still while the model is evaluated. Knows no framework.
"""

import json
import os
import time
from collections.abc import Callable

CORES = os.cpu_count() or 1
EVALUATED = (0.02, 0.05, *(part / 20 for part in range(2, 21)))  # parts of the training
TIMED_SECONDS = 10.0  # of the training that tells how many steps fit into the budget


def seconds() -> float:
    """Returns the seconds of all cores that this process has taken."""
    return time.process_time() / CORES


def steps_within(budget: float, take: Callable[[], int]) -> int:
    """Returns how many steps fit into `budget` seconds, at the speed of `take`, which returns its number of steps."""
    take()  # traces and compiles
    steps, start = 0, seconds()
    while (passed := seconds() - start) < min(TIMED_SECONDS, budget):
        steps += take()
    return max(1, int(budget * steps / passed))


def report(steps: int, take: Callable[[int], int], evaluate: Callable[[], float]) -> None:
    """Takes about `steps` steps, and prints a line of JSON for each evaluation: seconds of training, nats.

    Args:
      take: takes some steps, the first of which has the given number, and returns how many.
      evaluate: returns the ELBO, nats per image.
    """
    passed, done = 0.0, 0
    for part in EVALUATED:
        start = seconds()
        while done < part * steps:
            done += take(done)
        passed += seconds() - start
        print(json.dumps([passed, evaluate()]), flush=True)
