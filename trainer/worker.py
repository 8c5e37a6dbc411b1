"""One of the processes that train together: `python -m trainer.worker FOLDER`, with its place among them in TF_CONFIG.

Exit codes: 0 done, 2 a user's mistake, 1 another failure, 143 stopped by SIGTERM after a checkpoint.
"""

import logging
import os
import sys
import traceback

from trainer.errors import ReportedError, UserError
from trainer.interrupt import interruptible
from trainer.launch import follow_parent


def main(arguments: list[str]) -> int:
    """Works on the job in the folder that is the one argument, and returns the exit code."""
    follow_parent()
    logging.basicConfig(stream=sys.stdout, format="%(message)s")  # which the launcher shows
    logging.getLogger("trainer").setLevel(logging.INFO)
    try:
        if len(arguments) != 1:
            raise UserError(f"expected one argument, the folder of the workers' job, got {len(arguments)}")
        with interruptible():
            from trainer.job import run_worker

            run_worker(arguments[0])
    except ReportedError as error:
        print(f"trainer: {error}", file=sys.stderr)
        return error.exit_code
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # at once: TensorFlow's own end takes seconds, in which a peer may fail, and take the blame
