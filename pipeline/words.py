"""How a run ended, in words and as an exit code. Imports TFX only to speak of a verdict."""

import re
import tempfile
from typing import TYPE_CHECKING

from trainer.errors import InterruptError, ReportedError

if TYPE_CHECKING:
    from components.gate.verdict import Verdict
    from pipeline.outcome import Outcome

DISK_FULL = "No space left on device|database or disk is full|Disk quota exceeded"  # says Linux, SQLite, Linux
WITHHELD = "Read-only file system|Permission denied|Input/output error|Stale file handle|Operation not permitted"
PUSHED, FAILED, BAD_INPUT, REFUSED = 0, 1, 2, 3


def explain(error: BaseException, root: str, again: str = "the next run") -> tuple[str, int]:
    """A sentence for a person, and the exit code, from an error of a run in `root` and its causes.

    `again` is what finds the checkpoints that this run leaves.
    """
    chain = _causes(error)
    if any(re.search(DISK_FULL, str(cause)) for cause in chain):
        return (
            f"no space is left on the disk of {root}, or of the temporary files in {tempfile.gettempdir()}: "
            f"free some, and {again} goes on after the last finished component or checkpoint",
            FAILED,
        )
    for cause in chain:  # first of all, since what an interrupt disturbs may fail in its own way
        if isinstance(cause, InterruptError):
            return f"{cause}; {again} goes on after the last finished component or checkpoint", cause.exit_code
    for cause in chain:
        if isinstance(cause, ReportedError):
            return _plain(str(cause)), cause.exit_code
        # Beam hands on the errors of its workers as text.
        if match := re.search(r"^(?:[\w.]+\.)?(?:UserError|ConfigError): (.*)$", str(cause), re.MULTILINE):
            return _plain(match.group(1)), BAD_INPUT
    for cause in chain:
        if match := re.search(WITHHELD, str(cause)):
            path = cause.filename if isinstance(cause, OSError) and cause.filename else f"a file below {root}"
            return (
                f"{path} cannot be read or written: {match.group()}. Let this user read and write everything below "
                f"{root}, and start again: finished work is kept",
                FAILED,
            )
    for cause in chain:
        if str(cause).strip():
            return f"{type(cause).__name__}: {_plain(str(cause).strip().splitlines()[0])}", FAILED
    return type(error).__name__, FAILED


def _causes(error: BaseException) -> list[BaseException]:
    """`error`, what it was raised from, and so on."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    return chain


def _plain(message: str) -> str:
    """`message` without what Beam and TensorFlow add for themselves."""
    return re.sub(r" \[while running .*|\{\{.*?\}\} | \[Op:\w+\]", "", message, flags=re.DOTALL)


def describe(outcome: "Outcome") -> str:
    """The end of the story: the verdict with its numbers, and where things are."""
    lines = []
    if not outcome.trained:
        lines.append("Nothing was trained: data, code and configuration are those of an earlier run.")
    if outcome.verdict.blessed:
        lines.append(_numbers(outcome.verdict))
    else:
        lines += [f"REFUSED: {reason}." for reason in outcome.verdict.reasons]
    lines += [f"Note: {note}." for note in outcome.verdict.notes]
    if outcome.push.unchanged:
        lines.append(f"UNCHANGED: this model is already the newest version, {outcome.push.unchanged}")
    if outcome.push.pushed_to:
        lines.append(f"PUSHED to {outcome.push.pushed_to}")
    if outcome.push.damaged:
        lines.append(f"The version that was served before is damaged, and was moved to {outcome.push.damaged}")
    lines.append(f"Report: {outcome.report}")
    return "\n".join(lines)


def _numbers(verdict: "Verdict") -> str:
    from components.gate.verdict import interval

    mean = verdict.candidate
    numbers = (
        f"Test-set ELBO {mean['elbo']:.2f} nats per image, standard error {mean['elbo_standard_error']:.2f} "
        f"over {mean['images']:.0f} images (independent pixels {mean['independent_pixels']:.2f})"
    )
    if verdict.baseline is None:
        return numbers
    return f"{numbers}\nLast blessed model {verdict.baseline['elbo']:.2f}: {interval(mean)}"
