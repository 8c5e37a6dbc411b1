"""What every command does."""

import os
import subprocess
import sys

PROGRAM = """
import sys
from pipeline.cli import main
code = main(["run", "--epochs=0"])
import tensorflow as tf
try:
    tf.io.decode_image(b"no image")
except tf.errors.InvalidArgumentError:
    sys.exit(code)
"""


def test_tensorflow_adds_no_line_to_the_sentence_when_the_process_ends_after_a_broken_image():
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    sentence, *others = done.stderr.splitlines()
    assert sentence.startswith("vaeiaf: epochs: ")
    assert not [line for line in others if "rendezvous" in line]
