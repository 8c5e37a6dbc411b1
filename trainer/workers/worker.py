"""One worker of a training: `python -m trainer.workers.worker FOLDER`, with its address in TF_CONFIG.

Exit codes: 0 done, 2 bad input, 1 another failure, 128 + n stopped by signal n after a checkpoint. The environment
variable TRAINER_ERROR_FILE names the file for the worker's failure.
"""

import contextlib
import logging
import os
import sys
from collections.abc import MutableMapping

from trainer.errors import UserError, report
from trainer.interrupt import interruptible
from trainer.tf_config import addresses
from trainer.workers.launch import ERROR_FILE, follow_parent


def main(arguments: list[str]) -> int:
    """Does this worker's share of the job in the folder `arguments[0]`, and returns the exit code."""
    follow_parent()
    bypass_proxies(os.environ)
    logging.basicConfig(stream=sys.stdout, format="%(message)s")  # the launcher logs the chief's standard output
    logging.getLogger("trainer").setLevel(logging.INFO)
    try:
        if len(arguments) != 1:
            raise UserError("wrong number of arguments", value=len(arguments), valid="1, the folder of the job")
        with interruptible():
            from trainer.workers.job import run_worker

            run_worker(arguments[0])
    except Exception as error:
        return report(error, os.environ.get(ERROR_FILE))
    return 0


def bypass_proxies(environment: MutableMapping[str, str]) -> None:
    """Makes gRPC connect directly to the workers in TF_CONFIG, whatever proxy `environment` names.

    gRPC uses a proxy even for 127.0.0.1. It reads no_grpc_proxy, and no_proxy only if that is unset; libraries for
    buckets read no_proxy only, so nothing changes for them. Call it before importing TensorFlow.
    """
    hosts: list[str] = []
    with contextlib.suppress(ValueError):  # TF_CONFIG is malformed, which `strategy` reports
        found = addresses(environment.get("TF_CONFIG", ""))
        hosts = [address.rpartition(":")[0].strip("[]") for address in found if ":" in address]
    if hosts:
        given = environment.get("no_grpc_proxy", environment.get("no_proxy", ""))
        environment["no_grpc_proxy"] = ",".join(filter(None, [given, *dict.fromkeys(hosts)]))


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # TensorFlow's own exit takes seconds, in which a peer may fail first and be blamed
