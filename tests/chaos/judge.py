"""Judges a run that has ended and the state directory that it leaves."""

import pathlib
import re
from collections.abc import Container, Mapping

from tests.chaos import models
from tests.chaos.processes import Run

PUSHED, FAILED, BAD_INPUT, REFUSED = 0, 1, 2, 3
ENDS = (PUSHED, FAILED, BAD_INPUT, REFUSED)
# The name of an exception is not a sentence: it names neither a file nor a remedy.
FOREIGN = re.compile(r"vaeiaf: ([\w.]+\.)?[A-Z]\w*(Error|Exception|Interrupt)\b")


def sentences(console: str) -> list[str]:
    """Returns the sentences that the program prints at its end."""
    return [line for line in console.splitlines() if line.startswith("vaeiaf:")]


def ending(run: Run, allowed: Container[int] = ENDS) -> list[str]:
    """Returns the problems with the end of a run that was not killed."""
    if run.hung:
        return ["it hung"]
    problems, console, words = [], run.console, sentences(run.console)
    if run.code not in ENDS:
        problems.append(f"exit code {run.code}, expected success, failure, bad input or refusal")
    elif run.code not in allowed:
        problems.append(f"unexpected exit code {run.code}: {' '.join(words)[:300] or 'no sentence'}")
    if "Traceback" in console:
        problems.append("a traceback on the console")
    if run.code in (FAILED, BAD_INPUT):
        if len(words) != 1 or len(words[0]) < len("vaeiaf: ") + 10:
            problems.append(f"expected one sentence, got {words}")
        elif FOREIGN.match(words[0]):
            problems.append(f"a foreign error: {words[0][:200]}")
    elif words:
        problems.append(f"exit code {run.code} with the sentence {words[0][:200]}")
    return problems


def served(
    root: pathlib.Path, run: Run, before: Mapping[int, str], reference: str | None, damaged: Container[str] = ()
) -> list[str]:
    """Returns the problems with the pushed versions after a run.

    Args:
      root: the state directory.
      run: a run that has ended.
      before: the versions before the run.
      reference: weights of an undisturbed run of the same settings; None for settings that must be refused.
      damaged: digests of folders that hold damage.
    """
    after = models.versions(root)
    problems = []
    changed = [number for number in before if number in after and after[number] != before[number]]
    if changed:
        problems.append(f"a pushed version was changed in place: {changed}")
    new = sorted(after.keys() - before.keys())
    if new and reference is None:
        problems.append(f"a model that must be refused was pushed: {new}")
    judged = list(new)
    if run.code == PUSHED:
        if not after:
            return [*problems, "exit code 0 without a pushed version"]
        judged = sorted({*new, max(after)})
    for number in judged:
        found = models.weights(models.version_folder(root, number))
        if after[number] in damaged:
            problems.append(f"version {number} is damaged, and was pushed or called unchanged")
        elif reference is not None and found != reference:
            problems.append(f"version {number} has other weights than an undisturbed run: {found[:100]}")
    return problems
