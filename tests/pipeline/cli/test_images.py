"""`sample`, `reconstruct` and `encode`: what they write is what the signatures return, and all of it or nothing."""

import csv
import hashlib
import json
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from exported import export_without_temperature
from toy_data import pixels, png
from trainer.errors import InterruptError
from trainer.exported import Exported
from trainer.shape import Shape

SHAPE, LATENTS = Shape(8, 6, 3), 4


def decoded(path):
    return tf.io.decode_png(path.read_bytes()).numpy()


@pytest.fixture
def signatures(pushed):
    loaded = tf.saved_model.load(str(pushed / "pushed/vaeiaf-toy/200"))
    yield loaded.signatures
    del loaded


def test_a_sample_is_a_grid_in_a_file(call, signatures, tmp_path):
    ran = call("sample", "served", "--count=12", "--seed=3", f"--output={tmp_path}/s.png", "--json")
    assert ran.facts["output"] == str(tmp_path / "s.png")
    images = signatures["sample"](n=tf.constant(12), seed=tf.constant(3))["images"].numpy()
    grid = decoded(tmp_path / "s.png")
    assert grid.shape == (2 * 8, 10 * 6, 3)
    np.testing.assert_array_equal(grid[:8, 6:12], images[1])
    np.testing.assert_array_equal(grid[8:, :6], images[10])
    assert os.listdir(tmp_path) == ["s.png"]


def test_a_sample_in_a_folder_has_each_image_too(call, signatures, tmp_path):
    assert call("sample", "served", "--count=2", f"--output={tmp_path}/folder").code == 0
    images = signatures["sample"](n=tf.constant(2), seed=tf.constant(0))["images"].numpy()
    assert sorted(os.listdir(tmp_path / "folder")) == ["0000.png", "0001.png", "samples.png"]
    np.testing.assert_array_equal(decoded(tmp_path / "folder/0001.png"), images[1])


def test_a_cold_sample_is_one_image(call, tmp_path):
    call("sample", "served", "--count=2", "--temperature=0", f"--output={tmp_path}/s.png")
    grid = decoded(tmp_path / "s.png")
    np.testing.assert_array_equal(grid[:, :6], grid[:, 6:])


def test_an_earlier_model_has_no_temperature_and_says_so(call, tmp_path):
    model = export_without_temperature(tmp_path / "model", SHAPE)
    output = tmp_path / "s.png"
    refused = call("sample", model, "--temperature=0.5", f"--output={output}")
    assert refused.code == 2
    assert str(model) in refused.err
    assert not output.exists()
    assert call("sample", model, f"--output={output}").code == 0


@pytest.mark.parametrize(
    "option", ["--count=0", "--count=1001", "--temperature=-1", "--temperature=nan", "--seed=2147483648"]
)
def test_a_bad_number_is_named(option, call, tmp_path):
    ran = call("sample", "served", option, f"--output={tmp_path}/s.png")
    assert ran.code == 2
    assert ran.err.startswith(f"vaeiaf: {option.partition('=')[0]}: expected ")
    assert os.listdir(tmp_path) == []


def test_reconstructions_are_those_of_the_signature(call, signatures, image, tmp_path):
    output = tmp_path / "made"
    facts = call("reconstruct", "served", image, image, f"--output={output}", "--json").facts
    expected = signatures["reconstruct"](images=tf.constant([png(7, SHAPE)]))["images"].numpy()[0]
    assert sorted(os.listdir(output)) == ["0000-image.png", "0001-image.png", "pairs.png"]
    np.testing.assert_array_equal(decoded(output / "0001-image.png"), expected)
    pairs = decoded(output / "pairs.png")
    np.testing.assert_array_equal(
        pairs, np.concatenate([np.tile(pixels(7, SHAPE), [1, 2, 1]), np.tile(expected, [1, 2, 1])])
    )
    assert [found["image"] for found in facts["images"]] == [image, image]


def test_images_of_another_shape_are_fitted_only_if_asked(call, tmp_path):
    large = tmp_path / "large.png"
    large.write_bytes(png(1, (16, 16, 3)))
    refused = call("reconstruct", "served", large, f"--output={tmp_path}/made")
    assert refused.code == 2
    assert "expected 8x6x3" in refused.err
    assert "--fit" in refused.err
    assert os.listdir(tmp_path) == ["large.png"]
    assert call("reconstruct", "served", large, "--fit", f"--output={tmp_path}/made").code == 0


def test_a_folder_with_files_is_not_replaced(call, image, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").touch()
    for command in (("reconstruct", "served", image), ("sample", "served")):
        assert call(*command, f"--output={tmp_path}/mine").code == 2
    assert os.listdir(tmp_path / "mine") == ["notes.txt"]


def read_npz(path):
    with np.load(path) as found:
        return found["id"].tolist(), found["digest"].tolist(), found["latents"]


def read_csv(path):
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["id", "digest", *(f"z{i}" for i in range(LATENTS))]
    return [row[0] for row in rows], [row[1] for row in rows], np.array([row[2:] for row in rows], np.float32)


def read_jsonl(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row["id"] for row in rows], [row["digest"] for row in rows], np.array([row["latents"] for row in rows])


@pytest.mark.parametrize(("suffix", "read"), [("npz", read_npz), ("csv", read_csv), ("jsonl", read_jsonl)])
def test_latents_are_those_of_the_signature(suffix, read, call, signatures, image, tmp_path):
    output = tmp_path / f"latents.{suffix}"
    assert call("encode", "served", image, image, f"--output={output}", "--json").facts["latents"] == LATENTS
    ids, digests, latents = read(output)
    assert ids == [image, image]
    assert digests == [hashlib.blake2b(pixels(7, SHAPE).tobytes(), digest_size=16).hexdigest()] * 2
    expected = signatures["encode"](images=tf.constant([png(7, SHAPE)] * 2))["latents"]
    np.testing.assert_allclose(latents, expected, rtol=1e-5)


def test_a_large_number_of_images_goes_through_in_batches(call, image, tmp_path, monkeypatch):
    monkeypatch.setattr(Exported, "images_at_once", 2)
    call("encode", "served", *[image] * 5, f"--output={tmp_path}/l.csv")
    assert len(read_csv(tmp_path / "l.csv")[0]) == 5


def broken_image(tmp_path, pushed):
    (tmp_path / "no.png").write_bytes(b"no image")
    return "200", str(tmp_path / "no.png"), 2


def missing_image(tmp_path, pushed):
    return "200", str(tmp_path / "none.png"), 2


def folder_as_image(tmp_path, pushed):
    return "200", str(tmp_path), 2


def foreign_model(tmp_path, pushed):
    tf.saved_model.save(tf.Module(), str(tmp_path / "foreign"))
    return str(tmp_path / "foreign"), None, 2


def damaged_graph(tmp_path, pushed):
    (tmp_path / "foreign/assets.extra").mkdir(parents=True)
    (tmp_path / "foreign/saved_model.pb").write_bytes(b"no graph")
    units = pushed / "pushed/vaeiaf-toy/200/assets.extra/units.json"
    (tmp_path / "foreign/assets.extra/units.json").write_bytes(units.read_bytes())
    return str(tmp_path / "foreign"), None, 2


def no_model(tmp_path, pushed):
    return str(tmp_path), None, 2


@pytest.mark.parametrize(
    "mistake", [broken_image, missing_image, folder_as_image, foreign_model, damaged_graph, no_model]
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(mistake, call, pushed, image, tmp_path):
    model, wrong, code = mistake(tmp_path, pushed)
    before = sorted(os.listdir(tmp_path))
    ran = call("encode", model, image, *([wrong] if wrong else []), f"--output={tmp_path}/latents.csv")
    assert ran.code == code
    assert len(ran.err.splitlines()) == 1
    assert (wrong or model) in ran.err
    assert sorted(os.listdir(tmp_path)) == before


def test_a_damaged_version_is_refused_with_exit_code_1(call, copied, image, tmp_path):
    damaged = copied / "pushed/vaeiaf-toy/200/assets.extra/units.json"
    damaged.write_text(damaged.read_text() + " ")
    ran = call("encode", "served", image, f"--output={tmp_path}/latents.csv", root=copied)
    assert ran.code == 1
    assert str(damaged) in ran.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InterruptError(signal.SIGINT), 130, "vaeiaf: interrupted by SIGINT. Nothing was written\n"),
        (RuntimeError("No space left on device [while running 'x']"), 1, "vaeiaf: no space is left on the disk"),
    ],
)
def test_an_interrupt_and_a_full_disk_are_one_sentence_and_leave_nothing(
    error, code, said, call, image, tmp_path, monkeypatch
):
    def fail(self, images):
        raise error

    monkeypatch.setattr(Exported, "reconstruct", fail)
    before = sorted(os.listdir(tmp_path))
    ran = call("reconstruct", "served", image, f"--output={tmp_path}/made")
    assert ran.code == code
    assert ran.err.startswith(said)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("name", ["latents", "latents.txt", "latents.npy"])
def test_the_form_of_latents_is_in_the_name_of_the_file(name, call, image, tmp_path):
    ran = call("encode", "served", image, f"--output={tmp_path}/{name}")
    assert ran.code == 2
    assert ".csv or .jsonl or .npz" in ran.err
