"""`python -m tests.bench`: prints the table, writes bench.json into the working directory."""

import argparse
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported

from tests.bench import checkpoints, drift, growth, inputs, scaling, startup, steps, tasks
from tests.bench.rows import table, write

FILE = pathlib.Path("bench.json")
SECTIONS = {
    "steps": lambda options: steps.rows(options.torch_python),
    "inputs": lambda _: inputs.rows(),
    "scaling": lambda _: scaling.rows(),
    "growth": lambda _: growth.rows(),
    "checkpoints": lambda _: checkpoints.rows(),
    "startup": lambda _: startup.rows(),
    "drift": lambda _: list(drift.rows()),
    "tasks": lambda _: tasks.rows(),
}


def main() -> None:
    """Runs the selected sections in order, and writes all rows after each of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), help="sections to run")
    parser.add_argument(
        "--torch-python",
        metavar="PATH",
        default=sys.executable,
        help="interpreter with torch and pythae, the dependency group `bench` (default: this one)",
    )
    options = parser.parse_args()
    rows = []
    for name in options.only:
        rows += (new := SECTIONS[name](options))
        print(table(new), flush=True)
        write(rows, FILE)


if __name__ == "__main__":
    main()
