"""Drift and its gate in a real run: ingestion, statistics, the ELBO of a model."""

import numpy as np
import pytest
import tensorflow as tf
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.dsl.components.common.importer import Importer
from tfx.types.standard_artifacts import Model

from components.drift.compare import Comparator
from components.drift.component import Drift
from components.drift.findings import PAGE, read_findings
from components.drift.gate import DriftGate, judge
from components.drift.names import SENTENCE
from components.ingest import statistics
from components.ingest.numbers import NUMBERS
from own_data import asked
from pipeline.state.database import sqlite_connection
from pipeline.state.metadata import Metadata
from toy_data import pixels
from trainer.errors import ReportedError
from trainer.export import SERIALIZED
from trainer.failure import Kind
from trainer.storage.digests import write_digests


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two folders of arrays, of which the second is darker."""
    folder = tmp_path_factory.mktemp("data")
    images = np.stack([pixels(seed) // 2 + seed % 128 for seed in range(160)])
    for name, found in (("bright", images), ("dark", images // 3)):
        (folder / name).mkdir()
        np.savez(folder / name / "all.npz", x_train=found[:100], x_test=found[100:])
    return folder


def nodes(data, model):
    """Everything from two folders of images to the gate, which warns."""
    channels, found = {}, []
    for prefix, name in (("", "bright"), ("reference_", "dark")):
        examples = asked(data=str(data / name)).with_id(f"{prefix}examples")
        made = StatisticsGen(examples.outputs["examples"], stats_options=statistics.options()).with_id(f"{prefix}stats")
        channels[f"{prefix}examples"] = examples.outputs["examples"]
        channels[f"{prefix}statistics"] = made.outputs["statistics"]
        found += [examples, made]
    served = Importer(source_uri=str(model), artifact_type=Model).with_id("served")
    drift = Drift(
        Comparator.SKEW, ("the new data", "the old data"), 0.02, baseline=served.outputs["result"], **channels
    )
    return [*found, served, drift, DriftGate(on_drift="warn", drift=drift.outputs["drift"])]


def test_findings_have_every_number_and_the_models_elbo_on_test_images(data, exported, run_nodes, caplog):
    write_digests(str(exported.parent))
    folder = run_nodes(nodes(data, exported.parent))
    (drift,) = (path for path in (folder / "Drift/drift").iterdir() if path.is_dir())
    findings, page = read_findings(str(drift)), drift / PAGE
    assert [figure.name for figure in findings.figures] == [*NUMBERS, "elbo", "elbo_gap"]
    assert findings.sentence in caplog.text
    with Metadata(sqlite_connection(str(folder.parent / "mlmd.sqlite")), str(folder.parent)) as lineage:
        (recorded,) = lineage.store.get_artifacts_by_type("VaeIafDrift")
    assert recorded.custom_properties[SENTENCE].string_value == findings.sentence, "the page of all runs reads it"
    (elbo,) = (figure for figure in findings.figures if figure.name == "elbo")
    assert (sum(elbo.cells.current), sum(elbo.cells.reference)) == (60, 60)
    evaluate = tf.saved_model.load(str(exported)).signatures["evaluate"]
    (file,) = (folder / "examples/examples").glob("*/Split-test/*")
    records = list(tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator())
    expected = evaluate(**{SERIALIZED.name: tf.constant(records)})["elbo"].numpy()
    ours = np.searchsorted(np.sort(expected), elbo.cells.edges, side="right")
    np.testing.assert_allclose(elbo.cells.current, np.diff(ours), atol=1)

    with pytest.raises(ReportedError) as error:
        judge(findings, str(page), "stop")
    failure = error.value.failure
    assert (failure.kind, failure.exit_code) == (Kind.REFUSED, 3)
    assert failure.value["histograms"] == str(page)
    assert failure.value["figures"].keys() == {figure.name for figure in findings.drifted}
    brightness = failure.value["figures"]["brightness"]
    assert brightness["divergence"] > 0.5 > brightness["threshold"]
    assert page.read_text().count("<svg") == len(findings.figures)
