import hashlib
import io
import tarfile
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from components.ingest.datasets import prepared_builder
from components.ingest.photo_patches import Builder
from toy_data import FEATURES, rows, write, write_toy
from trainer.errors import UserError

ARCHIVE = "cifar-10-binary.tar.gz"


def test_a_prepared_data_set_is_found_in_the_first_folder_that_has_it(tmp_path):
    write_toy(tmp_path / "second", rows("train", 3, 0), rows("test", 2, 9))
    builder = prepared_builder("toy", [str(tmp_path / "first"), str(tmp_path / "second"), str(tmp_path / "third")])
    assert str(builder.data_path) == str(tmp_path / "second/toy/1.0.0")


def test_a_folder_without_its_description_is_not_prepared(tmp_path, unreachable):
    (tmp_path / "cifar10/3.0.2").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot be downloaded"):
        prepared_builder("cifar10", [str(tmp_path)])


def test_an_unknown_name_says_what_is_known(tmp_path):
    with pytest.raises(UserError, match="unknown data set 'nosuch': expected photo_patches, cifar10 or another"):
        prepared_builder("nosuch", [str(tmp_path)])


def test_an_unknown_version_says_which_there_are(tmp_path):
    with pytest.raises(UserError, match=r"cannot be loaded at version 9.9.9, only: 3.0.2"):
        prepared_builder("cifar10:9.9.9", [str(tmp_path)])


def test_missing_data_fails_in_seconds_with_three_ways_to_get_it(tmp_path, unreachable):
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        prepared_builder("cifar10", [str(tmp_path)])
    assert time.monotonic() - start < 30  # TFDS itself retries for 205 s
    for way in ("network", "TFDS_DATA_DIR", f"{ARCHIVE} into a folder and pass it with --manual-dir"):
        assert way in str(error.value)
    assert not list(tmp_path.iterdir())


def test_images_of_another_size_are_refused_before_any_download(tmp_path, unreachable):
    with pytest.raises(UserError, match=r"mnist/.*expected a feature 'image' of shape \(32, 32, 3\), got .*28, 28, 1"):
        prepared_builder("mnist", [str(tmp_path)])


def test_a_data_set_without_classes_is_refused(tmp_path):
    features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(32, 32, 3))})
    image = {"image": np.zeros([32, 32, 3], np.uint8)}
    write(tmp_path, features, {"train": [(0, image)], "test": [(0, image)]})
    with pytest.raises(UserError, match="expected a feature 'label' with classes, got"):
        prepared_builder("toy", [str(tmp_path)])


def test_a_missing_split_is_refused(tmp_path):
    row = {"id": "a", "image": np.zeros([32, 32, 3], np.uint8), "label": 0}
    write(tmp_path, FEATURES, {"train": [("a", row)]})
    with pytest.raises(UserError, match="expected the splits train and test, got train"):
        prepared_builder("toy", [str(tmp_path)])


def test_an_empty_split_is_refused(tmp_path):
    write_toy(tmp_path, rows("train", 3, 0), rows("test", 2, 9))
    info = tmp_path / "toy/1.0.0/dataset_info.json"
    info.write_text(info.read_text().replace('"shardLengths": [\n        "2"\n      ]', '"shardLengths": []'))
    with pytest.raises(UserError, match="the split test is empty"):
        prepared_builder("toy", [str(tmp_path)])


def test_a_missing_file_is_named(tmp_path):
    write_toy(tmp_path, rows("train", 3, 0), rows("test", 2, 9))
    (file,) = (tmp_path / "toy/1.0.0").glob("toy-test*")
    file.unlink()
    with pytest.raises(UserError, match=f"is not whole: {file} is missing"):
        prepared_builder("toy", [str(tmp_path)])


@pytest.fixture
def unreachable(monkeypatch):
    """No network, whatever the machine has: a proxy that refuses at once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A folder with an archive in the format of CIFAR-10, 10 images a batch, that TFDS takes for the original."""
    rng = np.random.default_rng(0)
    path = tmp_path / "manual" / ARCHIVE
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        batches = {f"data_batch_{i}.bin": 10 for i in range(1, 6)} | {"test_batch.bin": 10}
        for name, count in batches.items():
            pixels = rng.integers(0, 256, [count, 3072], dtype=np.uint8)
            add(tar, name, np.concatenate([rng.integers(0, 10, [count, 1], dtype=np.uint8), pixels], axis=1).tobytes())
        classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
        add(tar, "batches.meta.txt", "\n".join(classes).encode())
    cifar10 = tfds.builder_cls("cifar10")
    (url,) = cifar10.url_infos
    info = tfds.download.checksums.UrlInfo(
        size=path.stat().st_size, checksum=hashlib.sha256(path.read_bytes()).hexdigest(), filename=ARCHIVE
    )
    monkeypatch.setattr(cifar10, "url_infos", {url: info})
    return path


def add(tar, name, content):
    member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def test_an_archive_in_manual_dir_is_enough_without_a_network(tmp_path, archive, unreachable):
    builder = prepared_builder("cifar10", [str(tmp_path / "data")], str(archive.parent))
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {"train": 50, "test": 10}


def test_an_archive_that_is_not_the_original_is_refused_and_nothing_is_left(tmp_path, archive, unreachable):
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(UserError, match="checksum differs"):
        prepared_builder("cifar10", [str(tmp_path / "data")], str(archive.parent))
    assert not list((tmp_path / "data/cifar10").iterdir())


def test_a_manual_dir_without_the_archive_names_the_file(tmp_path, unreachable):
    with pytest.raises(UserError, match=f"has no {ARCHIVE}"):
        prepared_builder("cifar10", [str(tmp_path / "data")], str(tmp_path))


def test_of_two_runs_that_prepare_the_same_data_the_slower_takes_what_the_faster_made(tmp_path, monkeypatch):
    split_generators, started = Builder._split_generators, []

    def overtaken(self, dl_manager):
        if not started:
            started.append(self)
            prepared_builder("photo_patches", [str(tmp_path)])
        return split_generators(self, dl_manager)

    monkeypatch.setattr(Builder, "_split_generators", overtaken)
    assert set(prepared_builder("photo_patches", [str(tmp_path)]).info.splits) == {"train", "test"}
    assert started
