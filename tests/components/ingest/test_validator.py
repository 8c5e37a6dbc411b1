import shutil

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.statistics_gen.component import StatisticsGen

import pipeline.dag
from components.ingest.validator import StrictExampleValidator, anomaly_sentences
from own_data import asked
from toy_data import rows, write_toy
from trainer.errors import UserError


def nodes(data_dir):
    example_gen = asked(data_dirs=[str(data_dir)])
    statistics_gen = StatisticsGen(example_gen.outputs["examples"])
    schema = pipeline.dag.schema_of("toy")
    validator = StrictExampleValidator(statistics_gen.outputs["statistics"], schema.outputs["schema"])
    return [example_gen, statistics_gen, schema, validator]


def test_an_anomaly_stops_the_run_and_an_edit_of_the_schema_is_validated_anew(tmp_path, run_nodes, monkeypatch):
    shutil.copytree(pipeline.dag.SCHEMAS, tmp_path / "schemas")
    monkeypatch.setattr(pipeline.dag, "SCHEMAS", tmp_path / "schemas")
    data_dir = write_toy(tmp_path, rows("train", 5, 0), rows("test", 6, 100))  # only test has the label 5
    folder = run_nodes(nodes(data_dir))
    (anomalies,) = folder.glob("StrictExampleValidator/anomalies/*/")
    assert (anomalies / "Split-test").is_dir()
    known = " ".join(f'value: "{i}"' for i in range(5))
    domain = f'name: "label" string_domain {{ {known} }}'
    schema = tmp_path / "schemas/default/schema.pbtxt"
    schema.write_text(schema.read_text().replace('name: "label"', domain))
    with pytest.raises(UserError) as error:
        run_nodes(nodes(data_dir))
    what = "Unexpected string values (Examples contain values missing from the schema: 5 (~16%). )"
    anomaly = f"split test: feature label: {what}"
    assert error.value.failure.value == [anomaly]
    assert str(error.value) == (
        f"the data do not fit the schema {schema}: {anomaly}. Repair the data, or change the schema if it is outdated; "
        "nothing was trained"
    )
    assert list(folder.glob("StrictExampleValidator/anomalies/*/")) == [anomalies]


def test_every_kind_of_anomaly_has_a_sentence():
    anomalies = text_format.Parse(
        """
        anomaly_info { key: "image" value { short_description: "Column dropped" description: "gone" } }
        dataset_anomaly_info { description: "too few examples" }
        """,
        anomalies_pb2.Anomalies(),
    )
    assert anomaly_sentences(anomalies) == [
        "feature image: Column dropped (gone)",
        "too few examples",
    ]
