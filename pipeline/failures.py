"""Turns any exception of a run into a failure: one sentence, and who has to act. Imports no TFX."""

import dataclasses
import re
import tempfile

from trainer.errors import InterruptError, ReportedError, reason
from trainer.failure import Failure, Kind

# TensorFlow, Beam and SQLite report these as text only; each phrase is the system's own.
DISK_FULL = "No space left on device|database or disk is full|Disk quota exceeded"
ADDED = r" \[while running .*|\{\{.*?\}\} | \[Op:\w+\]"  # by Beam and TensorFlow, to the messages of others
WITHHELD = "Read-only file system|Permission denied|Input/output error|Stale file handle|Operation not permitted"


def failure_of(error: Exception, root: str, again: str = "the next run") -> Failure:
    """Returns the failure of a run in `root`, from its exception and the causes of that.

    `again` names what resumes from the checkpoints that this run leaves.
    """
    chain = _causes(error)
    resumes = f"{again} resumes after the last finished component or checkpoint"
    if any(re.search(DISK_FULL, str(cause)) for cause in chain):
        sentence = f"no space is left on the disk of {root}, or of the temporary files in {tempfile.gettempdir()}"
        remedy = f"Free some, and {resumes}"
        return Failure(Kind.INFRASTRUCTURE, sentence, remedy=remedy, cause=reason(chain[-1]))
    for cause in chain:  # before the others, because an interrupt makes other code fail too
        if isinstance(cause, InterruptError):
            return dataclasses.replace(cause.failure, remedy=f"{resumes[0].upper()}{resumes[1:]}")
    for cause in chain:
        if isinstance(cause, ReportedError):
            return cause.failure
    for cause in chain:
        if match := re.search(WITHHELD, str(cause)):
            path = cause.filename if isinstance(cause, OSError) and cause.filename else f"a file below {root}"
            sentence = f"{path} cannot be read or written: {match.group()}"
            remedy = f"Let this user read and write everything below {root}, and start again: finished work is kept"
            return Failure(Kind.INFRASTRUCTURE, sentence, value=path, remedy=remedy, cause=match.group())
    told = next((cause for cause in chain if str(cause).strip()), error)
    line = re.sub(ADDED, "", str(told).strip().partition("\n")[0])
    return Failure(Kind.BUG, f"{type(told).__name__}: {line}".removesuffix(": "))


def _causes(error: Exception) -> list[Exception]:
    """Returns `error` and its chain of causes."""
    chain = [error]
    while isinstance(cause := chain[-1].__cause__ or chain[-1].__context__, Exception) and cause not in chain:
        chain.append(cause)
    return chain
