"""How the benchmark reads a console and a process."""

from tests.bench.process import run_module
from tests.bench.startup import first_step_seconds

CONSOLE = """ImageExampleGen          0.9 s
Trainer
  training on 5,700 images, 300 held out, 1,000 test; batch 64, 89 steps an epoch, 1,000 parameters
  epoch 1/2  test ELBO -1.00 = reconstruction -0.50 - KL 0.50  held-out -1.00  1000 images/s  5.5 s
  epoch 2/2  test ELBO -1.00 = reconstruction -0.50 - KL 0.50  held-out -1.00  2000 images/s  3.0 s
                        12.3 s"""


def test_the_first_step_ends_when_it_is_traced_and_compiled():
    assert first_step_seconds(list(enumerate(CONSOLE.splitlines()))) == 2 + 5.5 - 3.0


def test_a_process_is_measured_without_the_one_that_starts_it():
    finished = run_module("this")
    assert finished.lines[0][1] == "The Zen of Python, by Tim Peters"
    assert 0.0 < finished.lines[0][0] <= finished.seconds + 1.0
    assert 1.0 < finished.peak_mb < 100.0, "this process has TensorFlow in it, and is far larger"
