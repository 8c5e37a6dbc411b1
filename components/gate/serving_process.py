"""Starts the fresh process that loads a model as a server does, and reads what it found."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

import numpy as np

from components.gate import serving_probe
from trainer.errors import ReportedError
from trainer.warmup import Arrays
from trainer.workers.launch import ending

SECONDS = 1800.0  # for everything that the process does
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}  # signals that a model causes
SCARCE = {"MemoryError", "ResourceExhaustedError"}  # errors that say something about the machine, not about the model
NO_MEMORY = "std::bad_alloc"  # the last words of native code that finds no memory, before it aborts
REMEDY = "Free some memory, or give the task more, and start again: the model is kept"
TAIL = 2000  # characters of the process's output, in a cause


class Observed(NamedTuple):
    """What the process found."""

    signatures: dict[str, Any]  # name -> "inputs" or "outputs" -> name -> [dtype, sizes]
    answers: list[list[Arrays]]  # of each turn, to the warm-up requests in their order
    latency: dict[str, dict[str, list[float]]]  # signature -> images in a call -> milliseconds per image
    loaded_seconds: float | None = None
    failure: str | None = None  # a sentence: the model cannot be loaded or called


def observe(model: str) -> Observed:
    """Loads the SavedModel at `model` in a fresh process without a GPU, and calls its signatures.

    Raises:
      ReportedError: the machine stopped the process: memory, time, a signal, or a library that cannot be imported.
    """
    # Python's -I keeps this project, the user's packages and the working directory out of its path.
    command = [sys.executable, "-I", serving_probe.__file__, model]
    # The trainer may hold all memory of the GPU. The log of a crash is short without the start-up lines.
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder, "output")
        code = _run([*command, folder], environment, output, model)
        return _ended(model, code, output.read_text(errors="replace")[-TAIL:]) if code else _read(model, folder)


def _run(command: list[str], environment: dict[str, str], output: pathlib.Path, model: str) -> int:
    """Runs the process and returns its exit code, or minus the signal that killed it."""
    with open(output, "wb") as file:
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=SECONDS
            )
        except subprocess.TimeoutExpired as error:
            sentence = f"the process that loads the model as a server does did not end within {SECONDS:.0f} s"
            remedy = "Start again when the machine is less busy: the model is kept"
            raise ReportedError(sentence, value=model, remedy=remedy) from error
        except OSError as error:
            sentence = "the process that loads the model as a server does cannot be started"
            raise ReportedError(sentence, value=model, remedy=REMEDY, cause=error) from error
    return done.returncode


def _ended(model: str, code: int, output: str) -> Observed:
    """Returns what the end of the process says of the model, or raises what it says of the machine."""
    how = ending(code)
    no_memory = NO_MEMORY in output or -code == signal.SIGKILL
    if code < 0 and -code in CRASHES and not no_memory:
        return Observed({}, [], {}, failure=f"a fresh process that loads the model and calls it {how}")
    why = ": memory may have run out" if no_memory else ""
    sentence = f"the process that loads the model as a server does {how}{why}"
    raise ReportedError(sentence, value=model, remedy=REMEDY, cause=output.strip())


def _read(model: str, folder: str) -> Observed:
    found = json.loads(pathlib.Path(folder, "found.json").read_text())
    turns: list[list[Arrays]] = [[] for _ in range(serving_probe.ROUNDS)]
    with np.load(os.path.join(folder, "answers.npz")) as arrays:
        for key in arrays.files:
            turn, number, name = key.split("/")
            of_turn = turns[int(turn)]
            of_turn += [{} for _ in range(int(number) + 1 - len(of_turn))]
            of_turn[int(number)][name] = arrays[key]
    return Observed(
        found.get("signatures", {}), turns, found["latency"], found.get("loaded_seconds"), _failure(model, found)
    )


def _failure(model: str, found: dict[str, Any]) -> str | None:
    """Returns the sentence of an error in the process.

    Raises:
      ReportedError: the machine has too little memory.
    """
    if "error" not in found:
        return None
    line = f"{found['error']}: {found['message'].strip().partition(chr(10))[0]}".removesuffix(": ")
    if found["error"] in SCARCE:
        sentence = "there is too little memory to load the model as a server does"
        raise ReportedError(sentence, value=model, remedy=REMEDY, cause=line)
    if found["doing"] == "load":
        return f"a fresh process cannot load the model: {line}"
    return f"a fresh process loads the model, and its signature {found['doing']} fails: {line}"
