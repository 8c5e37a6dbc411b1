"""Encodes images by an exported model: the latents of each are the centre of its posterior, pushed through the flow,
without noise.
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pipeline.cli._errand import add_errand
from pipeline.cli._models import WRITTEN, add_images, add_model, checked_file, path_of, quiet
from pipeline.cli._options import add_root
from pipeline.cli._output import add_json, print_json, print_parts
from trainer.exit_codes import DONE

if TYPE_CHECKING:
    import numpy as np

HELP = "write the latents of images by a model"
EXAMPLE = "encode served cat.png dog.jpg --fit --output latents.csv"
GUIDE = "howto/images.md"
EPILOG = WRITTEN

Batch = tuple[list[str], list[str], "np.ndarray"]  # ids and digests of length B, latents [B, L]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the model, the images and the output."""
    add_model(parser)
    add_images(parser)
    add_root(parser)
    add_errand(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        required=True,
        help="id, digest of the pixels and latents of each image, as .csv, .jsonl or .npz",
    )
    add_json(parser)


def check(options: argparse.Namespace) -> None:
    """Checks the name of the file."""
    options.output = checked_file(options.output, tuple(WRITERS))


def run(options: argparse.Namespace) -> int:
    """Encodes the images and writes their latents."""
    output, path = options.output, path_of(options)
    with quiet():
        from components.ingest.loose_images import loose_images
        from trainer.exported import Exported
        from trainer.storage.atomic import whole

        model = Exported(path)
        batches = (
            (batch.names, batch.digests, model.encode(batch.encoded))
            for batch in loose_images(options.images, model.shape, options.fit, model.images_at_once)
        )
        with whole("the latents", output) as unfinished:
            latents = WRITERS[f".{output.rpartition('.')[2].lower()}"](unfinished, batches)
    if options.json:
        print_json({"model": path, "images": len(options.images), "latents": latents, "output": output})
    else:
        print_parts(f"{latents} latents of {len(options.images)} images by {path} in {output}")
    return DONE


def _csv(path: str, batches: Iterator[Batch]) -> int:
    """Writes a line for each image, below a head, and returns the number of latents."""
    size = 0
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        for ids, digests, latents in batches:
            if not size:
                size = latents.shape[1]
                writer.writerow(["id", "digest", *(f"z{i}" for i in range(size))])
            writer.writerows([*row[:2], *row[2].tolist()] for row in zip(ids, digests, latents, strict=True))
    return size


def _jsonl(path: str, batches: Iterator[Batch]) -> int:
    """Writes a JSON object for each image, and returns the number of latents."""
    size = 0
    with open(path, "w") as file:
        for ids, digests, latents in batches:
            size = latents.shape[1]
            for name, digest, row in zip(ids, digests, latents.tolist(), strict=True):
                file.write(json.dumps({"id": name, "digest": digest, "latents": row}) + "\n")
    return size


def _npz(path: str, batches: Iterator[Batch]) -> int:
    """Writes the arrays id, digest and latents, and returns the number of latents."""
    import numpy as np

    ids, digests, latents = zip(*batches, strict=True)
    found = np.concatenate(latents)
    with open(path, "wb") as file:
        np.savez(file, id=np.concatenate(ids), digest=np.concatenate(digests), latents=found)
    return found.shape[1]


WRITERS: dict[str, Callable[[str, Iterator[Batch]], int]] = {".csv": _csv, ".jsonl": _jsonl, ".npz": _npz}
