"""Memory that a step frees serves the next one; in separate processes, because each has one allocator."""

import os
import subprocess
import sys

import pytest

ALLOCATOR = "TF_CPU_ALLOCATOR_USE_BFC"
FLOATS, STEPS, PAGE = 12_500_000, 5, 4096

PROGRAM = f"""
import resource
import trainer
import tensorflow as tf

@tf.function
def step():
    return tf.reduce_sum(tf.random.uniform([{FLOATS}]))

def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

step(), step()
before = page_faults()
for _ in range({STEPS}):
    step()
print(page_faults() - before)
"""


def _run(program: str, **environment: str) -> str:
    """Runs the program, with only `environment` to choose the allocator, and returns its output."""
    without = {name: value for name, value in os.environ.items() if name != ALLOCATOR}
    # oneDNN, which TensorFlow enables by CPU type, brings allocators that always keep freed memory.
    env = {**without, "TF_ENABLE_ONEDNN_OPTS": "0", **environment}
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=env)
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts the page faults of Linux")
def test_a_step_takes_the_memory_that_the_one_before_has_freed():
    pages = 4 * FLOATS * STEPS / PAGE
    assert int(_run(PROGRAM, TF_CPU_ALLOCATOR_USE_BFC="false")) > pages / 2  # so there is what can be spared
    assert int(_run(PROGRAM)) < pages / 100


def test_the_users_own_choice_of_allocator_stands():
    program = f"import os, trainer; print(os.environ['{ALLOCATOR}'])"
    assert _run(program) == "true"
    assert _run(program, TF_CPU_ALLOCATOR_USE_BFC="false") == "false"
