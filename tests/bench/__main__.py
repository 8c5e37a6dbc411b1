"""`python -m tests.bench`: prints the table, writes bench.json into the working directory."""

import argparse
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported

from tests.bench import growth, inputs, startup, steps
from tests.bench.rows import table, write

FILE = pathlib.Path("bench.json")


def main() -> None:
    """Runs the sections that were asked for, in order."""
    sections = {"steps": steps.rows, "inputs": inputs.rows, "growth": growth.rows, "startup": startup.rows}
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(sections), default=list(sections), metavar="SECTION")
    parser.add_argument(
        "--torch-python",
        metavar="PATH",
        default=sys.executable,
        help="interpreter with torch and pythae, for the rows of the group `bench` (default: this one)",
    )
    options = parser.parse_args()
    sections["steps"] = lambda: steps.rows(options.torch_python)
    rows = []
    for name in options.only:
        rows += (new := sections[name]())
        print(table(new), flush=True)
        write(rows, FILE)


if __name__ == "__main__":
    main()
