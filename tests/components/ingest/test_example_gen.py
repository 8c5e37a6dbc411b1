"""ImageExampleGen in a real run: Examples, failures inside Beam, cache."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.orchestration import metadata
from tfx.types import artifact_utils, standard_artifacts

from components.ingest import image_folder
from components.ingest.duplicates import shared_images
from components.ingest.example_gen import ImageDriver, ImageExecutor
from components.ingest.shapes import recorded_shape
from components.ingest.validator import StrictExampleValidator
from own_data import asked, write_files
from pipeline.beam.arguments import BEAM_ARGS
from pipeline.dag import schema_of
from pipeline.failures import failure_of
from toy_data import png, rows, write_toy
from trainer.failure import Kind
from trainer.images import load_images, preprocessing
from trainer.shape import THEIRS, Shape
from trainer.storage.digests import compute_digests

SHAPE = Shape(32, 32, 3)


def example_gen(*data_dirs, **settings):
    return asked(data_dirs=[str(data_dir) for data_dir in data_dirs], **settings)


def read(folder, split):
    files = tf.io.gfile.glob(str(folder / "ImageExampleGen/examples/*" / f"Split-{split}/*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    kinds = {"image": tf.string, "label": tf.string, "id": tf.string}
    features = {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()}
    return [tf.io.parse_single_example(record, features) for record in records]


def refusal(run_nodes, node):
    """The failure of a run of `node`, which is bad input."""
    with pytest.raises(Exception) as error:  # noqa: PT011  Beam chooses the type
        run_nodes([node])
    failure = failure_of(error.value, "root")
    assert failure.kind == Kind.BAD_INPUT, f"not an error for a person: {error.value!r}"
    return failure


def test_every_row_becomes_an_example_with_its_bytes_label_and_id(tmp_path, run_nodes):
    train, test = rows("image", 30, 0), rows("image", 12, 100)  # each split may use the same ids
    folder = run_nodes([example_gen(write_toy(tmp_path, train, test))])
    for split, expected in (("train", train), ("test", test)):
        came = {(e["id"].numpy().decode(), e["image"].numpy(), int(e["label"].numpy())) for e in read(folder, split)}
        assert came == set(expected)


def test_a_failure_inside_beam_reaches_the_caller_with_its_fields_and_leaves_no_artifact(tmp_path, run_nodes):
    data_dir = write_toy(tmp_path, [*rows("train", 5, 0), ("bad", png(7, (16, 32, 3)), 0)], rows("test", 5, 100))
    failure = refusal(run_nodes, example_gen(data_dir))
    (file,) = data_dir.glob("toy/1.0.0/toy-train*")
    fault = "image bad, shape: expected 32x32x3, as of the others, got '16x32x3', record 5, counted from 0, of"
    assert failure.value == [f"{fault} {file}"]
    assert not list((tmp_path / "artifacts").glob("ImageExampleGen/examples/*"))


def test_images_of_unequal_sizes_are_refused_with_the_sizes(tmp_path, run_nodes):
    train, odd = rows("train", 5, 0, (8, 6, 3)), ("odd", png(7, (6, 8, 3)), 0)
    data_dir = write_toy(tmp_path, [*train, odd], rows("test", 5, 100, (8, 6, 3)), shape=(None, None, 3))
    failure = refusal(run_nodes, example_gen(data_dir))
    (fault,) = failure.value
    assert fault.startswith("image odd, shape: expected 8x6x3, as of the others, got '6x8x3', record 5")


@pytest.mark.parametrize("declared", [(8, 6, 4), (None, None, 4)])
def test_the_examples_state_the_shape_that_all_their_images_have(declared, tmp_path, run_nodes):
    data_dir = write_toy(tmp_path, rows("a", 3, 0, (8, 6, 4)), rows("b", 2, 9, (8, 6, 4)), shape=declared)
    run_nodes([example_gen(data_dir)])
    (artifact,) = recorded(tmp_path)
    assert recorded_shape(artifact) == (8, 6, 4)


def test_images_of_any_size_fit_the_shape_that_was_asked_for_and_those_that_have_it_stay(tmp_path, run_nodes):
    train = [*rows("whole", 2, 0, (8, 6, 3)), ("large", png(7, (24, 12, 3)), 0), ("grey", png(8, (4, 6, 1)), 1)]
    data_dir = write_toy(tmp_path, train, rows("test", 2, 9, (9, 9, 3)), shape=(None, None, 3))
    folder = run_nodes([example_gen(data_dir, image_shape="8x6x3")])
    (artifact,) = recorded(tmp_path)
    assert recorded_shape(artifact) == (8, 6, 3)
    found = {example["id"].numpy().decode(): example["image"].numpy() for example in read(folder, "train")}
    assert {name: found[name] for name, _, _ in train[:2]} == {name: image for name, image, _ in train[:2]}
    assert found.keys() == {name for name, _, _ in train}
    for image in [*found.values(), *(example["image"].numpy() for example in read(folder, "test"))]:
        assert tf.io.decode_image(image).shape == (8, 6, 3)


@pytest.mark.parametrize(
    ("image_shape", "image", "what"),
    [("8x6x3", b"text", "format"), (THEIRS, b"text", "format"), (THEIRS, png(7, (8, 6, 2)), "shape")],
)
def test_a_bad_first_image_is_named_whatever_the_shape_comes_from(image_shape, image, what, tmp_path, run_nodes):
    train = [("bad", image, 0), *rows("train", 2, 0)]
    data_dir = write_toy(tmp_path, train, rows("test", 2, 9), shape=(None, None, None))
    failure = refusal(run_nodes, example_gen(data_dir, image_shape=image_shape))
    (fault,) = failure.value
    assert fault.startswith(f"image bad, {what}: ")


@pytest.mark.parametrize("arguments", [(), ("--direct_num_workers=3", "--direct_running_mode=multi_threading")])
def test_the_same_images_give_the_same_files_whatever_the_order_of_the_work(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "SHARD_FILES", 3)
    data = write_files(tmp_path / "data", {f"{i}.png": png(i) for i in range(40)})
    properties = resolved(asked(data=data, test_share=0.3))
    found = [ingested(tmp_path / name, properties, *arguments) for name in ("one", "two")]
    assert found[0] == found[1]
    assert len(found[0]) > 14, "train and test of 14 pieces"
    assert found[0] == ingested(tmp_path / "expected", properties)


def ingested(folder, properties, *arguments):
    """The digests of the Examples that the executor writes with these arguments of Beam."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    context = ImageExecutor.Context(beam_pipeline_args=[*BEAM_ARGS, *arguments], tmp_dir=str(folder))
    ImageExecutor(context).Do({}, {"examples": [examples]}, properties)
    return compute_digests(str(folder))


def test_examples_that_state_no_shape_are_those_of_earlier_versions():
    assert recorded_shape(standard_artifacts.Examples()) == (32, 32, 3)


def recorded(tmp_path):
    """The Examples artifacts in the database."""
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(tmp_path / "mlmd.sqlite"))) as handle:
        (artifact_type,) = (kind for kind in handle.store.get_artifact_types() if kind.name == "Examples")
        found = handle.store.get_artifacts_by_type("Examples")
    return [artifact_utils.deserialize_artifact(artifact_type, artifact) for artifact in found]


def test_allowed_shared_images_are_recorded_and_the_cache_forgets_a_withdrawn_permission(tmp_path, run_nodes, caplog):
    data_dir = write_toy(tmp_path, [*rows("train", 5, 0), *rows("twin", 2, 100)], rows("test", 5, 100))
    folder = run_nodes([example_gen(data_dir, allow_shared_images=True)])
    (artifact,) = recorded(tmp_path)
    assert shared_images(artifact) == 2
    assert "2 of 5 test images are also training images" in caplog.text
    assert len(read(folder, "train")) == 7
    failure = refusal(run_nodes, example_gen(data_dir))
    assert failure.value == ["test_000 (in train: twin_000)", "test_001 (in train: twin_001)"]
    assert len(list(folder.glob("ImageExampleGen/examples/*/"))) == 1


def test_ids_of_any_bytes_survive_statistics_validation_and_training(tmp_path, run_nodes):
    texts = ["Aa", "aA", "a\0", "", "\u00e9", "e\u0301", " aa"]
    names = [*(text.encode() for text in texts), b"\xff\xfe", b"\xff", b"\x80", b"\n"]
    content = [(name, png(i), i % 10) for i, name in enumerate(names)]
    test = [(name, png(100 + i), 0) for i, name in enumerate(names)]
    nodes = [example_gen(write_toy(tmp_path, content, test, tfds.features.Scalar(np.object_)))]
    nodes.append(StatisticsGen(nodes[0].outputs["examples"]))
    nodes.append(schema_of("toy"))
    nodes.append(StrictExampleValidator(nodes[1].outputs["statistics"], nodes[2].outputs["schema"]))
    folder = run_nodes(nodes)
    assert {e["id"].numpy(): e["image"].numpy() for e in read(folder, "train")} == {
        name: image for name, image, _ in content
    }
    images = load_images([str(folder / "ImageExampleGen/examples/*/Split-train/*")], preprocessing(SHAPE), SHAPE)
    assert len(images) == len(set(images.noise_seeds)) == len(names)


def test_the_cache_depends_on_code_and_content_and_on_no_place_or_time(tmp_path, toy, run_nodes, caplog, monkeypatch):
    def executed(*data_dirs):
        caplog.clear()
        run_nodes([example_gen(*data_dirs)])
        return not any("A cached execution" in record.getMessage() for record in caplog.records)

    caplog.set_level("INFO", logger="absl")
    (file,) = toy.glob("toy-train*")
    data_dir, times = toy.parents[1], (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    assert executed(data_dir)
    assert not executed(data_dir)
    file.write_bytes(file.read_bytes())  # the same bytes, written anew
    assert not executed("/no/such/folder", data_dir)  # the same data, found in another way
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.state.cache.code_of", lambda node: "edited")
        assert executed(data_dir)
    content = bytearray(file.read_bytes())
    content[2000] ^= 16
    file.write_bytes(content)
    os.utime(file, ns=times)
    assert refusal(run_nodes, example_gen(data_dir)).value == {"file": str(file), "record": 0}


def test_of_the_properties_only_input_base_tells_where_the_data_are(tmp_path, toy):
    shutil.copytree(tmp_path / "data", tmp_path / "two")
    one, two = (resolved(example_gen(tmp_path / "none", tmp_path / name)) for name in ("data", "two"))
    assert one.pop("input_base") == str(toy)
    assert two.pop("input_base") == str(tmp_path / "two/toy/1.0.0")
    assert one == two
    assert str(tmp_path) not in str(one)


def resolved(node):
    """The execution properties after the driver."""
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(":memory:")) as handle:
        return ImageDriver(handle).resolve_exec_properties(dict(node.exec_properties))
