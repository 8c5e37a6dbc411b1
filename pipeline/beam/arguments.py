"""Beam's arguments: the default engine, what remote workers need, and the names of jobs."""

import contextlib
import hashlib
import io
import re
import socket
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, StandardOptions, WorkerOptions
from apache_beam.runners.runner import create_runner

from pipeline.masking import masked
from trainer.errors import reason
from trainer.schema import SettingError

# The engine of Beam's DirectRunner, without its attempt to download another one first.
DEFAULT = "--runner=FnApiRunner"
# Keeps TFX from packing itself into an archive for remote workers, which have an image of this project.
NO_ARCHIVE = "--sdk_container_image=none"
BEAM_ARGS = (DEFAULT, NO_ARCHIVE)


def beam_args(given: Sequence[str], job: str = "", setting: str = "beam_args") -> list[str]:
    """Returns Beam's arguments: `given`, after the defaults that they leave open. `job` starts the names of jobs.

    Raises:
      SettingError: Beam refuses the value of an argument; the error names `setting`.
    """
    options = _parsed(given, setting)
    _check_runner(options, given, setting)
    runner = [] if options.view_as(StandardOptions).runner else [DEFAULT]
    image = [] if has_dependencies(options) else [NO_ARCHIVE]
    name = [f"--job_name={job}"] if job and not runs_in_process(options) else []
    return [*runner, *image, *name, *given]


def has_dependencies(options: PipelineOptions) -> bool:
    """Returns whether the options give remote workers an image or packages."""
    setup = options.view_as(SetupOptions)
    return bool(
        setup.requirements_file
        or setup.setup_file
        or setup.extra_packages
        or options.view_as(WorkerOptions).sdk_container_image
    )


def runs_in_process(options: PipelineOptions) -> bool:
    """Returns whether the work stays in this process, or in children that end with it."""
    return runner_of(options) in {name.lower() for name in StandardOptions.LOCAL_RUNNERS}


def runner_of(options: PipelineOptions) -> str:
    """Returns the runner's class in lower case; Beam accepts it with its module, and without its ending."""
    name = (options.view_as(StandardOptions).runner or DEFAULT.partition("=")[2]).rpartition(".")[2].lower()
    return name if name.endswith("runner") else f"{name}runner"


def job_prefix(pipeline: str, root: str, run: str) -> str:
    """Returns the start of the names of a run's jobs, which is the same for each attempt at the run.

    On a cluster it contains the id `run`. Elsewhere `run` is empty, and it stands for the state directory `root`, whose
    lock permits one run at a time: the next run finds the jobs of a killed one.
    """
    owner = run or hashlib.sha256(f"{socket.gethostname()} {root}".encode()).hexdigest()[:12]
    return plain(f"{pipeline}-{owner}")


def plain(name: str) -> str:
    """Returns a name that every engine accepts: lower case letters, digits and hyphens, a letter first."""
    return re.sub(r"^[^a-z]+|-$", "", re.sub(r"[^a-z0-9]+", "-", name.lower()))


def _parsed(given: Sequence[str], setting: str) -> PipelineOptions:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse prints its error and exits
            options = PipelineOptions(list(given))
            options.get_all_options()
    except SystemExit:
        said_last = said.getvalue().strip().splitlines()[-1].rpartition("error: ")[2]
        raise _refused(given, setting, said_last) from None
    return options


def _check_runner(options: PipelineOptions, given: Sequence[str], setting: str) -> None:
    """Raises SettingError if there is no such runner."""
    if runner := options.view_as(StandardOptions).runner:
        try:
            create_runner(runner)
        except (ValueError, ImportError, AttributeError) as error:
            raise _refused(given, setting, reason(error)) from error


def _refused(given: Sequence[str], setting: str, said: str) -> SettingError:
    return SettingError(setting, "arguments that Beam accepts", masked(given), remedy=f"Beam says: {said}")
