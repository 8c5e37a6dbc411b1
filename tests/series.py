"""Runs of the whole pipeline on a data set and a model so small that each takes seconds."""

import json
import pathlib
import re
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from components.gate.serving import versions
from pipeline import cli
from toy_data import Row

TINY = ["hidden_size=16", "latent_size=8", "iaf_steps=1", "iaf_hidden_size=16"]


def gradients(split: str, count: int, first_seed: int) -> list[Row]:
    """Rows of images that a model can learn: each goes from one colour to another."""

    def image(seed: int) -> bytes:
        first, last = np.random.default_rng(seed).integers(0, 256, [2, 1, 3])
        rows = first + (last - first) * np.linspace(0.0, 1.0, 32)[:, None]
        return tf.io.encode_png(np.repeat(rows[:, None], 32, axis=1).astype(np.uint8)).numpy()

    return [(f"{split}_{i:03d}", image(first_seed + i), i % 10) for i in range(count)]


_FIRST: dict = {}  # (data set, arguments) -> folder with a copy of the state, its root then, exit code and console


class Series:
    """Runs in one state directory."""

    def __init__(self, root, data_dir, capfd):
        self.root, self.data_dir, self._capfd = root, data_dir, capfd

    def run(self, *arguments, root=None):
        """Runs `vaeiaf run` with a gate that lets everything pass that is no number; returns exit code and console."""
        self._capfd.readouterr()
        code = cli.main(
            [
                *["run", "--dataset=toy", f"--data-dir={self.data_dir}", "--preset=smoke", "--batch-size=32"],
                *[f"--root={root or self.root}", "--min-elbo=-100000", "--epochs=1"],
                *([] if "--no-baseline" in arguments else ["--max-regression=1000"]),
                *[f"--set={setting}" for setting in TINY],
                *arguments,
            ]
        )
        captured = self._capfd.readouterr()
        assert captured.err == ""
        assert "Traceback" not in captured.out
        return code, captured.out

    def first(self, *arguments):
        """As `run`, of a state directory that does not exist yet: a copy of what the same first run left before."""
        kept = _FIRST.get((self.data_dir, arguments))
        if kept is None:
            outcome = self.run(*arguments)
            folder = pathlib.Path(tempfile.mkdtemp(dir=pathlib.Path(self.data_dir).parent), "root")
            shutil.copytree(self.root, folder)
            _FIRST[self.data_dir, arguments] = folder, str(self.root), outcome
            return outcome
        folder, root, (code, console) = kept
        shutil.copytree(folder, self.root)
        return code, console.replace(root, str(self.root))

    def versions(self):
        return versions(str(self.pushed))

    @property
    def pushed(self):
        return pathlib.Path(self.root, "pushed/vaeiaf-toy")

    def only(self, pattern):
        """The one path below the artifacts that matches."""
        (path,) = pathlib.Path(self.root, "artifacts/vaeiaf-toy").glob(pattern)
        return path


def took(console, node):
    """'cached' or the seconds of a node."""
    return re.findall(rf"^{node} +(.+)$", console, re.MULTILINE)[-1]


def report(console):
    """The page that a run has written."""
    return pathlib.Path(re.search(r"Report: (.+)", console).group(1)).read_text()


def quarantined(path):
    """Why a folder was quarantined."""
    notes = path.parent.glob(f"{path.name}.damaged-*.json")
    (note,) = [note for note in notes if not note.name.endswith(".digests.json")]
    return json.loads(note.read_text())["reason"]
