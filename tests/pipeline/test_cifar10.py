"""The pipeline on full-size CIFAR-10, where it is prepared in TFDS_DATA_DIR."""

import os
import pathlib
import re

import pytest

from pipeline import cli
from trainer import exit_codes

PREPARED = pathlib.Path(os.environ.get("TFDS_DATA_DIR", ""), "cifar10/3.0.2/dataset_info.json")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cifar10,
    pytest.mark.skipif(not PREPARED.is_file(), reason="cifar10 is not prepared in TFDS_DATA_DIR"),
]


def test_one_epoch_on_cifar10_is_pushed(tmp_path, capfd):
    assert cli.main(["run", "--epochs=1", f"--root={tmp_path}"]) == exit_codes.DONE
    console = capfd.readouterr().out
    elbo, independent = re.search(r"ELBO (-[\d.]+) nats .* \(independent pixels (-[\d.]+)", console).groups()
    assert float(independent) == pytest.approx(-2117.8, abs=5.0)
    assert float(elbo) > -1940.0
    assert "over 10000 images" in console
