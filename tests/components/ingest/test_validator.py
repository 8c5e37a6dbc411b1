import shutil

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.statistics_gen.component import StatisticsGen

import pipeline.dag
from components.ingest.example_gen import ImageExampleGen
from components.ingest.validator import StrictExampleValidator, anomaly_sentences
from toy_data import png, rows, write_toy
from trainer.errors import UserError


def nodes(data_dir):
    example_gen = ImageExampleGen("toy", [str(data_dir)], None)
    statistics_gen = StatisticsGen(example_gen.outputs["examples"])
    schema = pipeline.dag.schema_of("toy")
    validator = StrictExampleValidator(statistics_gen.outputs["statistics"], schema.outputs["schema"])
    return [example_gen, statistics_gen, schema, validator]


def test_sound_data_pass(tmp_path, run_nodes):
    folder = run_nodes(nodes(write_toy(tmp_path, rows("train", 5, 0), rows("test", 5, 100))))
    assert list(folder.glob("StrictExampleValidator/anomalies/*/Split-test/*"))


def test_a_label_outside_the_schema_stops_the_run_by_split_feature_and_anomaly(tmp_path, run_nodes):
    unlabelled = ("test_999", png(999), -1)
    data_dir = write_toy(tmp_path, rows("train", 5, 0), [*rows("test", 5, 100), unlabelled])
    with pytest.raises(UserError, match=r"split test: feature label: .*small value: -1"):
        run_nodes(nodes(data_dir))
    assert not list((tmp_path / "artifacts").glob("StrictExampleValidator/anomalies/*"))


def test_an_edit_of_the_schema_makes_the_validation_run_again(tmp_path, run_nodes, monkeypatch):
    shutil.copytree(pipeline.dag.SCHEMAS, tmp_path / "schemas")
    monkeypatch.setattr(pipeline.dag, "SCHEMAS", tmp_path / "schemas")
    data_dir = write_toy(tmp_path, rows("train", 5, 0), rows("test", 5, 100))
    run_nodes(nodes(data_dir))
    schema = tmp_path / "schemas/default/schema.pbtxt"
    schema.write_text(schema.read_text().replace("min: 0", "min: 1"))
    with pytest.raises(UserError, match=r"feature label: .*small value: 0"):
        run_nodes(nodes(data_dir))


def test_every_kind_of_anomaly_has_a_sentence():
    anomalies = text_format.Parse(
        """
        anomaly_info { key: "image" value { short_description: "Column dropped" description: "gone" } }
        dataset_anomaly_info { description: "too few examples" }
        data_missing: true
        """,
        anomalies_pb2.Anomalies(),
    )
    assert anomaly_sentences(anomalies) == [
        "feature image: Column dropped (gone)",
        "too few examples",
        "there is no data",
    ]
