"""Examples of an earlier run serve an evaluation if they are what a run would make now."""

import os
import pathlib

import pytest

from pipeline.examples import examples_of
from pipeline.settings import PipelineConfig
from trainer.shape import Shape

pytestmark = pytest.mark.slow  # ingestion by Beam

SHAPE = Shape(8, 6, 3)


def uri(root, data, **settings):
    """The folder of the Examples, and whether it is there after the block."""
    with examples_of(PipelineConfig(data=data, root=str(root), **settings), SHAPE) as examples:
        folder = examples.uri
        assert os.listdir(pathlib.Path(folder, "Split-test"))
    return folder, os.path.exists(folder)


def test_the_examples_of_an_earlier_run_are_used_and_stay(pushed, data):
    folder, stays = uri(pushed, data)
    assert folder.startswith(f"{pushed}/artifacts/")
    assert stays


def damaged(root):
    (file,) = (root / "artifacts").glob("**/Split-test/*.gz")
    file.write_bytes(file.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize(
    ("change", "settings"), [(damaged, {}), (lambda root: None, {"splits": "train=test,test=train"})]
)
def test_damaged_and_other_ones_are_made_for_a_while(change, settings, copied, data):
    before = sorted(copied.rglob("*"))
    change(copied)
    folder, stays = uri(copied, data, **settings)
    assert not folder.startswith(str(copied))
    assert not stays
    assert sorted(copied.rglob("*")) == before


def test_the_content_of_the_data_counts(copied, data, tmp_path):
    other = tmp_path / pathlib.Path(data).name  # names the series
    other.mkdir()
    for part in ("train", "test"):
        (other / part).symlink_to(pathlib.Path(data, part))
    assert uri(copied, str(other))[0].startswith(f"{copied}/artifacts/"), "the place does not"
    (other / "train").unlink()
    (other / "train").symlink_to(pathlib.Path(data, "test/cat"))
    (other / "test").unlink()
    (other / "test").symlink_to(pathlib.Path(data, "test/dog"))
    assert not uri(copied, str(other))[0].startswith(str(copied))
