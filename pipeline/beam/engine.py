"""An engine outside of this process: what is asked of it before, during and after a job."""

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Protocol

from trainer.errors import ReportedError
from trainer.interrupt import signals_noted

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0  # for the first answer; Beam's own limit is 300 s
END_SECONDS = 60.0  # for the end of a cancelled job
POLL_SECONDS = 0.2


class EngineError(ReportedError):
    """An engine that does not answer, or does not do what it is asked; trying again may help."""


class Engine(Protocol):
    """Where jobs run."""

    def check(self) -> None:
        """Checks that a job could run now.

        Raises:
          EngineError: the engine does not answer within `ANSWER_SECONDS`, or has no room.
          UserError: a setting does not fit the engine.
        """

    def unfinished(self, name: str) -> list[str]:
        """Returns the ids of the jobs `name` that have not ended.

        Raises:
          EngineError: the engine does not answer.
        """

    def cancel(self, job: str) -> None:
        """Asks the engine to end the job with the id `job`; it may have ended already.

        Raises:
          EngineError: the engine does not answer.
        """


def cancel_jobs(engine: Engine, name: str) -> None:
    """Cancels the jobs `name` and waits for their end.

    Raises:
      EngineError: the engine does not answer, or a job has not ended after `END_SECONDS`.
    """
    asked: set[str] = set()
    deadline = time.monotonic() + END_SECONDS
    while jobs := engine.unfinished(name):
        for job in set(jobs) - asked:
            log.warning("cancelling the job %s (%s)", name, job)
            engine.cancel(job)
            asked.add(job)
        if time.monotonic() > deadline:
            raise EngineError(
                f"the job {name} has not ended {END_SECONDS:.0f} s after it was cancelled",
                value=jobs,
                remedy="End it on its engine, and start again",
            )
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def no_orphans(engine: Engine, name: str) -> Iterator[None]:
    """Cancels the jobs `name` if the block raises, so that none of them writes after this process has given up."""
    try:
        yield
    except BaseException:
        with signals_noted():  # a second signal must not leave a job behind
            try:
                cancel_jobs(engine, name)
            except EngineError as error:
                log.warning("%s; the job may continue, and the next attempt cancels it", error)
        raise
