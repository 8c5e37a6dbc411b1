"""Draws images from an exported model: latents from its prior, decoded. The same seed gives the same images."""

import argparse
import os
import pathlib

from pipeline.cli._errand import add_errand
from pipeline.cli._models import WRITTEN, add_model, checked_folder, path_of, quiet
from pipeline.cli._options import add_root
from pipeline.cli._output import add_json, print_json, print_parts
from trainer.errors import UserError
from trainer.exit_codes import DONE

HELP = "draw images from a model"
EXAMPLE = "sample served --count 40 --temperature 0.7 --output samples.png"
GUIDE = "howto/images.md"
EPILOG = WRITTEN
MAX_COUNT = 1000  # images in memory together
COLUMNS = 10
GRID = "samples.png"  # in a folder
HOTTEST = 100.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the model, how many images, from where, and the output."""
    add_model(parser)
    add_root(parser)
    add_errand(parser)
    parser.add_argument("--count", metavar="N", type=int, default=40, help="of images (default: %(default)s)")
    parser.add_argument(
        "--temperature",
        metavar="T",
        type=float,
        default=1.0,
        help="factor of the prior's standard deviation; below 1 images are more typical (default: %(default)s)",
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of the latents (default: %(default)s)")
    parser.add_argument(
        "--output",
        metavar="FILE.png",
        default=GRID,
        help=f"the images as a grid, or a new folder for {GRID} and a PNG of each (default: %(default)s)",
    )
    add_json(parser)


def check(options: argparse.Namespace) -> None:
    """Checks the numbers and the output."""
    if not 1 <= options.count <= MAX_COUNT:
        raise UserError("--count", value=options.count, valid=f"1 to {MAX_COUNT}")
    if not 0.0 <= options.temperature <= HOTTEST:
        raise UserError("--temperature", value=options.temperature, valid=f"0 to {HOTTEST:g}")
    if not -(2**31) <= options.seed < 2**31:
        raise UserError("--seed", value=options.seed, valid="a number of 32 bits")
    is_file = _is_file(options.output)
    options.output = os.path.abspath(options.output) if is_file else checked_folder(options.output)


def run(options: argparse.Namespace) -> int:
    """Samples and writes the images."""
    output, path = options.output, path_of(options)
    is_file = _is_file(output)
    with quiet():
        from components.pages.pictures import image_grid, png
        from trainer.exported import Exported
        from trainer.storage.atomic import whole

        images = Exported(path).sample(options.count, options.seed, options.temperature)
        grid = image_grid(images, columns=min(COLUMNS, len(images)))
        with whole("the samples", output) as unfinished:
            if is_file:
                pathlib.Path(unfinished).write_bytes(grid)
            else:
                pathlib.Path(unfinished).mkdir()
                pathlib.Path(unfinished, GRID).write_bytes(grid)
                for i, image in enumerate(images):
                    pathlib.Path(unfinished, f"{i:04d}.png").write_bytes(png(image))
    if options.json:
        given = {name: getattr(options, name) for name in ("count", "temperature", "seed")}
        print_json({"model": path, **given, "output": output})
    else:
        print_parts(f"{options.count} images of {path} in {output}")
    return DONE


def _is_file(output: str) -> bool:
    """Tells whether the output is a file with a grid, and no folder."""
    return output.lower().endswith(".png") and not os.path.isdir(output)
