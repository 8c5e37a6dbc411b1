"""Runs of the whole pipeline on a data set and a model so small that each takes seconds."""

import json
import pathlib
import re
import shutil
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

import trainer.workers.job
from components.gate import serving_probe, serving_process
from components.gate.serving import versions
from pipeline import cli
from pipeline.state.database import sqlite_connection
from pipeline.state.metadata import Metadata
from toy_data import Row
from trainer import exit_codes
from trainer.errors import UserError

TINY = ["hidden_size=16", "latent_size=8", "iaf_steps=0", "importance_samples=0"]  # XLA takes a second for a flow


def gradients(split: str, count: int, first_seed: int, shape: tuple[int, ...] = (32, 32, 3)) -> list[Row]:
    """Rows of images that a model can learn: each goes from one colour to another."""

    def image(seed: int) -> bytes:
        height, width, channels = shape
        first, last = np.random.default_rng(seed).integers(0, 256, [2, 1, channels])
        rows = first + (last - first) * np.linspace(0.0, 1.0, height)[:, None]
        return tf.io.encode_png(np.repeat(rows[:, None], width, axis=1).astype(np.uint8)).numpy()

    return [(f"{split}_{i:03d}", image(first_seed + i), i % 10) for i in range(count)]


_KEPT: dict = {}  # (data set, arguments of the run) -> folder with a copy of the state, its root, exit code and console


def probe_here(command, *_):
    """Does the work of the fresh process in this one: the import of TensorFlow takes longer than such a training."""
    serving_probe.main(*command[-2:])
    return 0


class Series:
    """Runs in one state directory."""

    def __init__(self, root, data_dir, capfd, data=None):
        self.root, self.data_dir, self._capfd, self._data = root, data_dir, capfd, data

    def options(self, *arguments):
        """Returns the arguments of `vaeiaf run` whose gate passes every model with a finite ELBO."""
        return [
            *([f"--data={self._data}"] if self._data else ["--dataset=toy", f"--data-dir={self.data_dir}"]),
            *["--preset=smoke", "--batch-size=32"],
            *[f"--root={self.root}", "--min-elbo=-100000", "--epochs=1"],
            *([] if "--no-baseline" in arguments else ["--max-regression=1000"]),
            *[f"--set={setting}" for setting in TINY],
            *arguments,
        ]

    def run(self, *arguments):
        """Runs `vaeiaf run` with these options; returns exit code and console."""
        self._capfd.readouterr()
        with mock.patch.object(serving_process, "_run", probe_here), mock.patch.object(serving_probe, "SECONDS", 0.0):
            code = cli.main(["run", *self.options(*arguments)])
        captured = self._capfd.readouterr()
        assert captured.err == ""
        assert "Traceback" not in captured.out
        return code, captured.out

    def first(self, *arguments):
        """Runs as `run` in a new state directory, or copies what the same first run left in another one."""

        def start():
            self.ingest()
            return self.run(*arguments)

        return self._kept(arguments, start)

    def ingest(self):
        """Puts a run that ended before its training into a new state directory: the next run reuses its data."""

        def start():
            stop = mock.patch.object(trainer.workers.job, "train_and_evaluate", side_effect=UserError("enough"))
            with stop:
                return self.run()

        code, _ = self._kept("ingest", start)
        assert code == exit_codes.BAD_INPUT

    def _kept(self, name, start):
        """Starts a run in a new state directory, or copies the state that it left before; returns what it returned."""
        kept = _KEPT.get((self.data_dir, name))
        if kept is None:
            outcome = start()
            folder = pathlib.Path(tempfile.mkdtemp(dir=pathlib.Path(self.data_dir).parent), "root")
            shutil.copytree(self.root, folder)
            _KEPT[self.data_dir, name] = folder, str(self.root), outcome
            return outcome
        folder, root, (code, console) = kept
        shutil.copytree(folder, self.root)
        return code, console.replace(root, str(self.root))

    def versions(self):
        return versions(str(self.pushed))

    @property
    def pushed(self):
        return pathlib.Path(self.root, f"pushed/vaeiaf-{pathlib.Path(self._data or 'toy').name}")

    @property
    def metadata(self):
        """ML Metadata of all runs."""
        return Metadata(sqlite_connection(str(self.root / "metadata.sqlite")), str(self.root))

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
