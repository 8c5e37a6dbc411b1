"""`python -m tests.bench`: prints the table, writes bench.json into the working directory."""

import argparse
import contextlib
import math
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported

from tests.bench import (
    checkpoints,
    disk,
    drift,
    growth,
    inputs,
    memory,
    numbers,
    precision,
    profile,
    quality,
    scale,
    scaling,
    shapes,
    spans,
    startup,
    steps,
    tasks,
)
from tests.bench.rows import table, write
from trainer.schema import SettingError

FILE = pathlib.Path("bench.json")
# Run only if they are named: they measure models, or need another program or processor.
ON_DEMAND = {"spans", "precision", "quality", "profile"}
SECTIONS = {
    "steps": lambda options: steps.rows(options.torch_python),
    "inputs": lambda _: inputs.rows(),
    "scaling": lambda _: scaling.rows(),
    "growth": lambda _: growth.rows(),
    "scale": lambda options: scale.rows(options.scale_images),
    "disk": lambda _: disk.rows(),
    "checkpoints": lambda _: checkpoints.rows(),
    "startup": lambda _: startup.rows(),
    "drift": lambda _: list(drift.rows()),
    "memory": lambda _: memory.rows(),
    "numbers": lambda _: numbers.rows(),
    "tasks": lambda _: tasks.rows(),
    "spans": lambda _: spans.rows(),
    "shapes": lambda _: shapes.rows(),
    "precision": lambda _: precision.rows(),
    "profile": lambda options: profile.rows(options.presets),
    "quality": lambda options: quality.rows(options.torch_python, options.presets, options.minutes),
}


def _recipes(text: str) -> list[str]:
    """Splits the names of recipes, each of which is valid."""
    names = text.split(",")
    for name in names:
        try:
            quality.recipe_of(name)
        except SettingError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected PRESET:SETTING=VALUE, got {name}") from error
    return names


def _minutes(text: str) -> float:
    """Returns a time above zero."""
    with contextlib.suppress(ValueError):
        if 0.0 < (minutes := float(text)) < math.inf:
            return minutes
    raise argparse.ArgumentTypeError(f"expected minutes above 0, got {text}")


def main() -> None:
    """Runs the selected sections in order, and writes all rows after each of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(SECTIONS),
        default=[name for name in SECTIONS if name not in ON_DEMAND],
        help="sections to run",
    )
    parser.add_argument(
        "--torch-python",
        metavar="PATH",
        default=sys.executable,
        help="interpreter with torch and pythae, the dependency group `bench` (default: this one)",
    )
    parser.add_argument(
        "--scale-images",
        type=lambda text: [int(size) for size in text.split(",")],
        metavar="N,N,...",
        default=scale.SIZES,
        help="numbers of images of the section `scale`; 6,000,000 take 15 GB in the temporary folder (default: "
        f"{','.join(map(str, scale.SIZES))})",
    )
    parser.add_argument(
        "--presets",
        type=_recipes,
        metavar="NAME,NAME,...",
        default=quality.without_repeats(),
        help="presets of the sections `quality` and `profile`, also with other settings: resnet:learning_rate=1e-3 "
        "(default: all but those that differ in their epochs alone)",
    )
    parser.add_argument(
        "--minutes",
        type=_minutes,
        metavar="N",
        default=quality.MINUTES,
        help="time of all cores that the section `quality` trains each contestant for (default: %(default)g)",
    )
    options = parser.parse_args()
    rows = []
    for name in options.only:
        try:
            rows += (new := SECTIONS[name](options))
        except quality.NoDataError as error:
            parser.exit(1, f"{parser.prog}: {error}\n")
        print(table(new), flush=True)
        write(rows, FILE)


if __name__ == "__main__":
    main()
