"""Memory of ingestion does not grow with the number of images."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from crossing import bytes_between_stages
from own_data import asked
from toy_data import serialized

FEW = 100
IMAGES = 3_000
BYTES = 5_000  # that an image may add, with the noise of the measure; Beam once kept 20,000 of each
PROGRAM = """
import json, sys
from components.ingest.example_gen import ImageDriver, ImageExecutor
from own_data import asked
from pipeline.beam.arguments import BEAM_ARGS
from tfx.orchestration import metadata
from tfx.types import standard_artifacts

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

peaks = []
for data in sys.argv[1:]:
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(":memory:")) as handle:
        properties = ImageDriver(handle).resolve_exec_properties(dict(asked(data=data).exec_properties))
    examples = standard_artifacts.Examples()
    examples.uri = data + "-examples"
    ImageExecutor(ImageExecutor.Context(beam_pipeline_args=[*BEAM_ARGS])).Do({}, {"examples": [examples]}, properties)
    peaks.append(peak())
print(json.dumps(peaks))
"""


def test_no_image_crosses_a_stage(tmp_path, run_nodes):
    with bytes_between_stages() as sizes:
        run_nodes([asked(data=str(write_noise(tmp_path / "data", FEW)))])
    assert 0 < sum(sizes) < 100 * FEW


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux, which states the peak")
def test_four_times_the_images_need_no_more_memory(tmp_path):
    folders = [str(write_noise(tmp_path / str(count), count)) for count in (IMAGES, 4 * IMAGES)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", PROGRAM, *folders]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    fewer, more = json.loads(found.stdout.splitlines()[-1])
    assert more - fewer < BYTES * 3 * IMAGES, f"{(more - fewer) / (3 * IMAGES):.0f} bytes an image"


def write_noise(folder: pathlib.Path, count: int) -> pathlib.Path:
    """Writes a TFRecord file of different images."""
    folder.mkdir()
    images = np.random.default_rng(count).integers(0, 256, [count, 32, 32, 3], dtype=np.uint8)
    with tf.io.TFRecordWriter(str(folder / "a.tfrecord")) as writer:
        for i, pixels in enumerate(images):
            writer.write(serialized(f"{i:06d}", tf.io.encode_png(pixels).numpy(), 0))
    return folder
