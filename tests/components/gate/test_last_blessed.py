import pytest
import tensorflow as tf
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import standard_artifacts

from components.gate.last_blessed import LastBlessedModelStrategy
from components.gate.withdrawal import withdraw
from trainer.storage.digests import below, read_digests, record_digests, write_digests


@pytest.fixture
def series(tmp_path):
    return Series(tmp_path)


class Series:
    """Models in a database; each may be blessed and pushed several times."""

    def __init__(self, folder):
        self.folder = folder
        self.store = MetadataStore(
            mlmd.ConnectionConfig(
                sqlite=mlmd.SqliteMetadataSourceConfig(filename_uri=str(folder / "db"), connection_mode=3)
            )
        )
        self.evaluator = self.store.put_execution_type(mlmd.ExecutionType(name="Evaluator"))
        self.artifacts = {"model": [], "model_blessing": []}
        self.blessings = {}
        self.version = 0

    def _add(self, key, artifact):
        artifact.uri = str(self.folder / key / str(len(self.artifacts[key])))
        artifact.mlmd_artifact.type_id = self.store.put_artifact_type(artifact.artifact_type, can_add_fields=True)
        (artifact.id,) = self.store.put_artifacts([artifact.mlmd_artifact])
        self.artifacts[key].append(artifact)
        return artifact

    def train(self, name):
        model = standard_artifacts.Model()
        self._add("model", model)
        tf.io.gfile.makedirs(f"{model.uri}/Format-Serving")
        with open(f"{model.uri}/Format-Serving/saved_model.pb", "w") as file:
            file.write(name)
        write_digests(model.uri)
        return model

    def bless(self, model, blessed=True):
        """Adds an execution of the Evaluator, which reuses an earlier blessing of the model."""
        if model.id not in self.blessings:
            blessing = standard_artifacts.ModelBlessing()
            blessing.set_int_custom_property("blessed", int(blessed))
            blessing.set_int_custom_property("current_model_id", model.id)
            self.blessings[model.id] = self._add("model_blessing", blessing)
        event = mlmd.Event(type=mlmd.Event.OUTPUT)
        self.store.put_execution(
            mlmd.Execution(type_id=self.evaluator), [(self.blessings[model.id].mlmd_artifact, event)], []
        )

    def push(self, model):
        self.version += 1
        path = self.folder / "pushed" / str(self.version)
        tf.io.gfile.makedirs(str(path))
        tf.io.gfile.copy(f"{model.uri}/Format-Serving/saved_model.pb", f"{path}/saved_model.pb")
        record_digests(str(path), below(read_digests(model.uri), "Format-Serving"))
        return path

    def baseline(self, no_baseline=False):
        strategy = LastBlessedModelStrategy(str(self.folder / "pushed"), no_baseline)
        found = strategy.resolve_artifacts(self.store, {key: list(value) for key, value in self.artifacts.items()})
        return [artifact.uri for artifact in found["model"]], [artifact.uri for artifact in found["model_blessing"]]


def test_of_a_b_and_a_again_a_is_served_and_is_the_baseline(series):
    a = series.train("a")
    series.bless(a)
    series.push(a)
    b = series.train("b")
    series.bless(b)
    series.push(b)
    assert series.baseline() == ([b.uri], [])
    series.bless(a)  # reused from the cache
    series.push(a)
    assert series.baseline() == ([a.uri], [])


def test_a_model_that_was_blessed_and_never_pushed_is_not_the_baseline(series):
    a, b = series.train("a"), series.train("b")
    series.bless(a)
    series.push(a)
    series.bless(b)
    assert series.baseline()[0] == [a.uri]


def test_where_nothing_is_served_it_is_the_model_blessed_last(series):
    a, b, c = series.train("a"), series.train("b"), series.train("c")
    for model in (a, b, a):
        series.bless(model)
    series.bless(c, blessed=False)
    model, blessing = series.baseline()
    assert (model, len(blessing)) == ([a.uri], 1)


def test_where_nothing_is_served_it_is_no_withdrawn_model(series):
    a, b = series.train("a"), series.train("b")
    for model in (a, b):
        series.bless(model)
    path = series.push(b)
    withdraw(str(path.parent), int(path.name), "ada", "odd samples")
    model, blessing = series.baseline()
    assert (model, len(blessing)) == ([a.uri], 1)


def test_a_version_without_digests_is_identified_by_its_files(series):
    a = series.train("a")
    path = series.push(a)
    path.with_name(f"{path.name}.digests.json").unlink()
    assert series.baseline()[0] == [a.uri]


def test_an_artifact_whose_files_are_gone_is_still_the_baseline_for_others_to_refuse(series):
    a = series.train("a")
    series.bless(a)
    series.push(a)
    tf.io.gfile.rmtree(a.uri)
    assert series.baseline()[0] == [a.uri]


def test_a_blessing_whose_model_is_not_recorded_comes_alone(series):
    a = series.train("a")
    series.bless(a)
    series.artifacts["model"] = []
    model, blessing = series.baseline()
    assert (model, len(blessing)) == ([], 1)


def test_without_a_blessed_model_there_is_no_baseline(series):
    series.train("a")
    assert series.baseline() == ([], [])


def test_there_is_no_baseline_if_the_user_wants_none(series):
    a = series.train("a")
    series.bless(a)
    series.push(a)
    assert series.baseline(no_baseline=True) == ([], [])
