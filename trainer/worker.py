"""One of the processes that train together: `python -m trainer.worker FOLDER`, with its place among them in TF_CONFIG.

Exit codes: 0 done, 2 a user's mistake, 1 another failure, 143 stopped by SIGTERM after a checkpoint.
"""

import logging
import sys

from trainer.errors import ReportedError
from trainer.interrupt import interruptible
from trainer.launch import follow_parent


def main(arguments: list[str]) -> int:
    """Works on the job in the folder that is the one argument, and returns the exit code."""
    follow_parent()
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("trainer").setLevel(logging.INFO)
    try:
        with interruptible():
            from trainer.job import run_worker

            run_worker(*arguments)
    except ReportedError as error:
        print(f"trainer: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
