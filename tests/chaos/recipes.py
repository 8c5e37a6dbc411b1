"""The data set and the settings of the runs, so small that a run takes seconds."""

import io
import pathlib
from collections.abc import Sequence

import numpy as np

TRAIN_IMAGES, TEST_IMAGES = 200, 60
DATASET = "toy"
PIPELINE = f"vaeiaf-{DATASET}"  # names the folders in artifacts/, training/ and pushed/

RECIPE = {
    "hidden_size": 16,
    "latent_size": 8,
    "iaf_steps": 1,
    "iaf_hidden_size": 16,
    "batch_size": 40,  # a multiple of the workers
    "eval_samples": 1,
    "importance_samples": 0,
    "learning_rate": 3e-3,
    "epochs": 30,
}
# Settings by name: the differences from RECIPE, and options of the command line.
SETTINGS = {
    "plain": ({}, ["--max-regression=1000"]),
    "other": ({"seed": 1}, ["--max-regression=1000"]),
    "third": ({"seed": 2}, ["--max-regression=1000"]),
    "workers": ({"seed": 3, "epochs": 12}, ["--max-regression=1000", "--workers=2"]),
    "tuned": ({"seed": 4, "epochs": 8}, ["--max-regression=1000", "--tune=2"]),
    # Passes the absolute bound, and fails a comparison with each of the models above.
    "worse": ({"epochs": 1, "learning_rate": 1e-6}, ["--max-regression=1"]),
}
MIN_ELBO = -4000.0  # nats per image; an untrained model reaches about -2150


def arguments(root: pathlib.Path, settings: str) -> list[str]:
    """Returns the command line of a run in `root`."""
    changes, options = SETTINGS[settings]
    given = [f"--set={name}={value}" for name, value in {**RECIPE, **changes}.items()]
    return [
        "run",
        f"--dataset={DATASET}",
        "--preset=smoke",
        f"--root={root}",
        f"--min-elbo={MIN_ELBO}",
        "--checkpoint-minutes=0",
        *given,
        *options,
    ]


def write_data(folder: pathlib.Path) -> None:
    """Writes the data set as TFDS does. Each image has one of two grey levels, which a model learns quickly."""
    from tests.toy_data import write_toy

    write_toy(folder, _rows("train", TRAIN_IMAGES, 0), _rows("test", TEST_IMAGES, 1))


def _rows(split: str, count: int, seed: int) -> Sequence[tuple[str, bytes, int]]:
    rng = np.random.default_rng(seed)
    return [(f"{split}_{index:03d}", _image(rng), index % 10) for index in range(count)]


def _image(rng: np.random.Generator) -> bytes:
    from PIL import Image

    pixels = rng.choice([50, 205]) + rng.integers(-30, 31, (32, 32, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
