import hashlib
import io
import tarfile
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from components.ingest import photo_patches
from components.ingest.datasets import prepared_builder
from components.ingest.photo_patches import Builder
from toy_data import png, rows, write, write_toy
from trainer.errors import UserError

ARCHIVE = "cifar-10-binary.tar.gz"
(URL,) = tfds.builder_cls("cifar10").url_infos


def test_a_prepared_data_set_is_found_in_the_first_folder_that_has_it(tmp_path):
    write_toy(tmp_path / "second", rows("train", 3, 0), rows("test", 2, 9))
    builder = prepared_builder("toy", [str(tmp_path / "first"), str(tmp_path / "second"), str(tmp_path / "third")])
    assert str(builder.data_path) == str(tmp_path / "second/toy/1.0.0")


def test_a_folder_without_its_description_is_not_prepared(tmp_path, unreachable):
    (tmp_path / "cifar10/3.0.2").mkdir(parents=True)
    with pytest.raises(UserError) as error:
        prepared_builder("cifar10", [str(tmp_path)])
    assert error.value.failure.value == URL


def test_missing_data_fail_in_seconds_and_leave_nothing(tmp_path, unreachable):
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        prepared_builder("cifar10", [str(tmp_path)])
    assert time.monotonic() - start < 30  # TFDS itself retries for 205 s
    assert error.value.failure.value == URL
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(tmp_path, toy):
    (file,) = toy.glob("toy-test*")
    file.unlink()
    with pytest.raises(UserError) as error:
        prepared_builder("toy", [str(tmp_path / "data")])
    assert error.value.failure.value == str(file)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (tfds.features.Image(shape=(32, 32, 3), dtype=np.uint16), "uint16"),
        (tfds.features.Tensor(shape=(32, 32, 3), dtype=np.uint16), "uint16"),
        (tfds.features.Tensor(shape=(32, 32, 3), dtype=np.float32), "float32"),
        (tfds.features.Tensor(shape=(3, 32, 32), dtype=np.uint8), [3, 32, 32]),
        (tfds.features.Tensor(shape=(3072,), dtype=np.uint8), [3072]),
    ],
    ids=["16-bit image", "16-bit tensor", "float", "channels first", "flat"],
)
def test_images_of_another_kind_are_refused(tmp_path, image, found):
    features = tfds.features.FeaturesDict({"image": image, "label": tfds.features.ClassLabel(num_classes=2)})
    row = {"image": np.zeros(image.shape, image.np_dtype), "label": 0}
    write(tmp_path, features, {"train": [(0, row)], "test": [(0, row)]})
    with pytest.raises(UserError) as error:
        prepared_builder("toy", [str(tmp_path)])
    assert error.value.failure.value == found


@pytest.mark.parametrize("kind", [np.float32, np.bool_])
def test_ids_of_another_kind_are_refused(tmp_path, kind):
    write_toy(tmp_path, [(kind(0), png(0), 0)], [(kind(1), png(1), 0)], tfds.features.Scalar(kind))
    with pytest.raises(UserError) as error:
        prepared_builder("toy", [str(tmp_path)])
    assert np.dtype(kind).name in error.value.failure.value


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
    info = tfds.download.checksums.UrlInfo(
        size=path.stat().st_size, checksum=hashlib.sha256(path.read_bytes()).hexdigest(), filename=ARCHIVE
    )
    monkeypatch.setattr(cifar10, "url_infos", {URL: info})
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
    with pytest.raises(UserError):
        prepared_builder("cifar10", [str(tmp_path / "data")], str(archive.parent))
    assert not list((tmp_path / "data/cifar10").iterdir())


def test_of_two_runs_that_prepare_the_same_data_the_slower_uses_those_of_the_faster(tmp_path, monkeypatch):
    split_generators, started = Builder._split_generators, []
    monkeypatch.setattr(photo_patches, "PATCHES", {"train": 4, "test": 2})

    def overtaken(self, dl_manager):
        if not started:
            started.append(self)
            prepared_builder("photo_patches", [str(tmp_path)])
        return split_generators(self, dl_manager)

    monkeypatch.setattr(Builder, "_split_generators", overtaken)
    assert set(prepared_builder("photo_patches", [str(tmp_path)]).info.splits) == {"train", "test"}
    assert started
