"""Reconstructs images by an exported model: each is encoded, without noise, and decoded again."""

import argparse
import os
import pathlib
from typing import TYPE_CHECKING

from pipeline.cli._errand import add_errand
from pipeline.cli._models import WRITTEN, add_images, add_model, checked_folder, path_of, quiet
from pipeline.cli._options import add_root
from pipeline.cli._output import add_json, print_json, print_parts
from trainer.exit_codes import DONE

if TYPE_CHECKING:
    import numpy as np

HELP = "reconstruct images by a model"
EXAMPLE = "reconstruct served cat.png dog.jpg --fit --output reconstructions"
GUIDE = "howto/images.md"
EPILOG = WRITTEN
GRID = "pairs.png"
SHOWN = 100  # images in the grid
COLUMNS = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the model, the images and the output."""
    add_model(parser)
    add_images(parser)
    add_root(parser)
    add_errand(parser)
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        required=True,
        help=f"new folder: a PNG of each reconstruction, and {GRID}, images above their reconstructions",
    )
    add_json(parser)


def check(options: argparse.Namespace) -> None:
    """Checks the folder."""
    options.output = checked_folder(options.output)


def run(options: argparse.Namespace) -> int:
    """Reconstructs the images and writes them."""
    output, path = options.output, path_of(options)
    with quiet():
        from components.ingest.loose_images import loose_images
        from components.pages.pictures import png
        from trainer.exported import Exported
        from trainer.storage.atomic import whole

        model = Exported(path)
        written: list[dict[str, str]] = []
        shown: list[tuple[np.ndarray, np.ndarray]] = []
        with whole("the reconstructions", output) as unfinished:
            pathlib.Path(unfinished).mkdir()
            for batch in loose_images(options.images, model.shape, options.fit, model.images_at_once):
                for name, digest, pixels, made in zip(
                    batch.names, batch.digests, batch.pixels, model.reconstruct(batch.encoded), strict=True
                ):
                    file = f"{len(written):04d}-{pathlib.PurePath(name).stem}.png"
                    pathlib.Path(unfinished, file).write_bytes(png(made))
                    written.append({"image": name, "digest": digest, "reconstruction": os.path.join(output, file)})
                    if len(shown) < SHOWN:
                        shown.append((pixels, made))
            pathlib.Path(unfinished, GRID).write_bytes(_pairs(shown))
    if options.json:
        print_json({"model": path, "images": written, "pairs": os.path.join(output, GRID)})
    else:
        print_parts(f"{len(written)} reconstructions by {path} in {output}")
    return DONE


def _pairs(shown: "list[tuple[np.ndarray, np.ndarray]]") -> bytes:
    """Returns a PNG of rows of images, each above a row of their reconstructions."""
    import numpy as np

    from components.pages.pictures import image_grid

    columns = min(COLUMNS, len(shown))
    blank = np.full_like(shown[0][0], 255)
    rows: list[np.ndarray] = []
    for start in range(0, len(shown), columns):
        part = shown[start : start + columns]
        part = part + [(blank, blank)] * (columns - len(part))
        rows += [*(pixels for pixels, _ in part), *(made for _, made in part)]
    return image_grid(np.stack(rows), columns)
