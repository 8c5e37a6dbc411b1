"""All checks of this machine, in the order in which people mend what they find."""

from collections.abc import Callable, Iterator

from pipeline.doctor.c_library import c_library
from pipeline.doctor.data import data
from pipeline.doctor.database import database
from pipeline.doctor.disk import state_directory, temporary_folder
from pipeline.doctor.docker import docker
from pipeline.doctor.finding import Finding, State
from pipeline.doctor.memory import memory
from pipeline.doctor.versions import versions
from pipeline.settings import PipelineConfig
from trainer.errors import InterruptError, ReportedError


def examine(config: PipelineConfig) -> Iterator[Finding]:
    """Makes all checks for a run of `config`, and yields each finding as soon as it is known."""
    checks: tuple[Callable[[], Finding], ...] = (
        versions,
        c_library,
        memory,
        temporary_folder,
        lambda: state_directory(config.root),
        lambda: database(config.metadata),
        lambda: data(config),
        docker,
    )
    for check in checks:
        try:
            yield check()
        except InterruptError:
            raise
        except ReportedError as error:
            yield Finding("state", State.WRONG, error.failure.sentence, error.failure.remedy)
