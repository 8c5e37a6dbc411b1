"""Whether Docker answers, which only images, serving and the tests in containers need."""

import shutil
import subprocess

from pipeline.doctor.finding import Finding, State

CHECK = "docker"
SECONDS = 10.0
FOR = "only make image, make test-containers and TensorFlow Serving need it"


def docker() -> Finding:
    """Asks Docker's client for the version of its server."""
    if shutil.which("docker") is None:
        return Finding(CHECK, State.UNKNOWN, f"no docker command is installed; {FOR}")
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return Finding(
            CHECK, State.UNKNOWN, f"Docker does not answer within {SECONDS:.0f} s; {FOR}", "Start Docker again"
        )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no server"])[-1]
        return Finding(CHECK, State.UNKNOWN, f"Docker does not answer ({said}); {FOR}", "Start it, or get access to it")
    return Finding(CHECK, State.OK, f"Docker {done.stdout.strip()}")
