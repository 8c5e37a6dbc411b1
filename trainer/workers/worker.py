"""One worker of a training: `python -m trainer.workers.worker FOLDER`, with its place in TF_CONFIG.

Exit codes: 0 done, 2 bad input, 1 another failure, 128 + n stopped by signal n after a checkpoint. The failure itself
goes to the file that the environment variable TRAINER_ERROR_FILE names.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import MutableMapping

from trainer.errors import ReportedError, UserError, reason
from trainer.failure import Failure, Kind, leave
from trainer.interrupt import interruptible
from trainer.workers.launch import ERROR_FILE, follow_parent


def main(arguments: list[str]) -> int:
    """Works on the job in the folder that is the one argument, and returns the exit code."""
    follow_parent()
    bypass_proxies(os.environ)
    logging.basicConfig(stream=sys.stdout, format="%(message)s")  # which the launcher shows
    logging.getLogger("trainer").setLevel(logging.INFO)
    try:
        if len(arguments) != 1:
            raise UserError(f"expected one argument, the folder of the workers' job, got {len(arguments)}")
        with interruptible():
            from trainer.workers.job import run_worker

            run_worker(arguments[0])
    except ReportedError as error:
        print(f"trainer: {error}", file=sys.stderr)
        return _fail(error.failure)
    except Exception as error:
        traceback.print_exc()
        return _fail(Failure(Kind.BUG, f"{type(error).__name__}: {reason(error)}"))
    return 0


def _fail(failure: Failure) -> int:
    """Leaves the failure for the launcher, and returns the exit code."""
    if path := os.environ.get(ERROR_FILE):
        leave(failure, path)
    return failure.exit_code


def bypass_proxies(environment: MutableMapping[str, str]) -> None:
    """Has gRPC reach the workers that TF_CONFIG names directly, whatever proxy `environment` has for other hosts.

    gRPC takes a proxy even for 127.0.0.1. It reads no_grpc_proxy, and no_proxy only without it; libraries that read
    and write buckets know only no_proxy, so that nothing changes for them. Call it before TensorFlow is imported.
    """
    hosts = [address.rpartition(":")[0].strip("[]") for address in _addresses(environment.get("TF_CONFIG", ""))]
    if hosts:
        given = environment.get("no_grpc_proxy", environment.get("no_proxy", ""))
        environment["no_grpc_proxy"] = ",".join(filter(None, [given, *dict.fromkeys(hosts)]))


def _addresses(config: str) -> list[str]:
    """Addresses of all processes in TF_CONFIG; none if it is malformed, which `strategy` reports."""
    try:
        return [address for task in json.loads(config)["cluster"].values() for address in task if ":" in address]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # at once: TensorFlow's own end takes seconds, in which a peer may fail, and take the blame
