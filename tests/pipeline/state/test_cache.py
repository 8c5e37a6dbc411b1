"""A cache key changes exactly when the result would: every node, every input, every setting."""

import dataclasses
import functools
import pathlib
import shutil

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import inputs_utils
from tfx.types import artifact_utils, standard_artifacts

import pipeline.dag
from components.drift.names import SPAN_DRIFT
from components.ingest.example_gen import ImageDriver
from components.ingest.properties import UNREADABLE
from components.train import code
from own_data import write_files
from pipeline.dag import compile_pipeline, create_pipeline
from pipeline.local import site_of
from pipeline.settings import PipelineConfig
from pipeline.state import cache
from pipeline.state.database import sqlite_connection
from pipeline.state.metadata import Metadata
from toy_data import png
from trainer.settings import TrainConfig
from trainer.storage.digests import digest_file, write_digests

DATA = ("ImageExampleGen", "StatisticsGen", "Schema", "StrictExampleValidator", "Transform")
SERVING = ("ServingExampleGen", "ServingStatisticsGen", "ServingSkew")
CACHED = (*DATA, *SERVING, "Tuner", "Trainer", "ServingCheck", "Evaluator")
BASE = PipelineConfig(dataset="toy", train=TrainConfig(epochs=1), root="/state", tune=2, serving_data="/served")


SOURCES = functools.cache(code.sources)  # parsing all modules takes a second


@pytest.fixture(autouse=True)
def parsed_once(monkeypatch):
    monkeypatch.setattr(code, "sources", SOURCES)


@functools.cache
def nodes_of(config, _schemas):
    return [item.pipeline_node for item in compile_pipeline(create_pipeline(config, site_of(config))).nodes]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """A complete artifact of a type, with this content."""
    tmp_path = tmp_path_factory.mktemp("artifacts")

    @functools.cache
    def make(kind, content, folder="one"):
        found = kind()
        found.uri = str(tmp_path / folder / kind.__name__ / content)
        pathlib.Path(found.uri).mkdir(parents=True, exist_ok=True)
        pathlib.Path(found.uri, "file").write_text(content)
        write_digests(found.uri)
        return found

    return make


@pytest.fixture
def keys(artifact, toy):
    """The key of every cached node of a run, whose inputs have equal content but for the one that is `changed`."""

    def of(config=BASE, changed=None, missing=None, folder="one"):
        served = f"{toy}/toy/1.0.0" if config.serving_data else None
        config = dataclasses.replace(config, data_dir=str(toy), serving_data=served)
        found, lineage = {}, Metadata(sqlite_connection(str(toy / "metadata.sqlite")), str(toy))
        for node in nodes_of(config, pipeline.dag.SCHEMAS):
            name = node.node_info.id
            if name not in CACHED:
                continue
            inputs = {}
            for key, spec in node.inputs.inputs.items():
                kind = spec.channels[0].artifact_query.type.name
                content = "b" if key == changed else "a"
                found_here = [artifact(getattr(standard_artifacts, kind), content, folder)]
                inputs[key] = [] if key == missing else found_here
            parameters = data_types_utils.build_parsed_value_dict(
                inputs_utils.resolve_parameters_with_schema(node_parameters=node.parameters)
            )
            if name in ("ImageExampleGen", "ServingExampleGen"):
                with lineage as handle:
                    parameters = ImageDriver(handle).resolve_exec_properties(parameters)
            found[name] = cache.key("toy", name, inputs, parameters)
        return found

    return of


def differ(one, other):
    return {name for name in one if one[name] != other[name]}


def test_every_cached_node_is_in_the_table_of_code():
    nodes = nodes_of(BASE, pipeline.dag.SCHEMAS)
    cached = {node.node_info.id for node in nodes if node.execution_options.caching_options.enable_cache}
    assert cached - {"LastBlessedModel"} == set(CACHED) == set(code.CODE) - {SPAN_DRIFT}  # of spans


def test_equal_content_has_equal_keys_wherever_the_state_directory_is(keys):
    moved = dataclasses.replace(BASE, root="/elsewhere")
    assert keys() == keys(moved, folder="two")


@pytest.mark.parametrize(
    ("key", "nodes"),
    [
        (
            "examples",
            {"StatisticsGen", "Transform", "Tuner", "Trainer", "Evaluator", "ServingStatisticsGen", "ServingSkew"},
        ),
        ("statistics", {"StrictExampleValidator", "ServingSkew"}),
        ("reference_examples", {"ServingSkew"}),
        ("reference_statistics", {"ServingSkew"}),
        ("baseline", {"ServingSkew"}),
        ("schema", {"StrictExampleValidator", "Transform"}),
        ("transform_graph", {"Tuner", "Trainer"}),
        ("hyperparameters", {"Trainer"}),
        ("model", {"ServingCheck", "Evaluator"}),
        ("infra_blessing", {"Evaluator"}),
        ("baseline_model", {"Evaluator"}),
    ],
)
def test_the_content_of_an_input_changes_the_keys_of_the_nodes_that_read_it(keys, key, nodes):
    assert differ(keys(), keys(changed=key)) == nodes


def test_the_base_model_of_a_warm_start_is_an_input_of_the_trainer(keys):
    warm = dataclasses.replace(BASE, tune=0, warm_start=True)
    assert differ(keys(warm), keys(warm, changed="base_model")) == {"Trainer"}
    cold = keys(dataclasses.replace(BASE, tune=0))
    assert differ(cold, keys(warm, missing="base_model")) == set(), "without one, a warm start is a cold one"


def test_the_number_of_unreadable_images_which_the_evidence_repeats_changes_the_key_of_the_evaluator_alone(artifact):
    examples = artifact(standard_artifacts.Examples, "c")

    def keys(unreadable):
        examples.set_int_custom_property(UNREADABLE, unreadable)
        return {node: cache.key("toy", node, {"examples": [examples]}, {}) for node in ("Trainer", "Evaluator")}

    assert differ(keys(0), keys(1)) == {"Evaluator"}


TRAINER, EXAMPLES = {"Tuner", "Trainer"}, {"ImageExampleGen", "ServingExampleGen"}


@pytest.mark.parametrize(
    ("change", "nodes"),
    [
        ({"train": TrainConfig(epochs=2)}, TRAINER),
        ({"train": TrainConfig(epochs=1, eval_samples=3)}, TRAINER),
        ({"tune": 3}, {"Tuner"}),
        ({"min_elbo": -1.0}, {"Evaluator"}),
        ({"max_regression": 2.0}, {"Evaluator"}),
        ({"min_label_elbo": -1.0}, {"Evaluator"}),
        ({"no_baseline": True}, {"Evaluator"}),
        ({"allow_shared_images": True}, {"ImageExampleGen"}),
        ({"max_unreadable": 0.5}, EXAMPLES),
        ({"splits": "train=test,test=train"}, {"ImageExampleGen"}),
        ({"test_share": 0.5}, set()),  # the data have a part for test
        ({"image_shape": "64x64x3"}, EXAMPLES),
        ({"drift_threshold": 0.5}, {"ServingSkew"}),
        ({"on_drift": "stop"}, set()),
        # where and how a run works, of which the result is the same
        ({"strategy": "mirrored"}, set()),
        ({"tune": 0, "workers": 2}, set()),
        ({"checkpoint_minutes": 1.0}, set()),
        ({"checkpoint_percent": 2.0}, set()),
        ({"images_in_memory": 0}, set()),
        ({"beam_args": ("--runner=FlinkRunner",)}, set()),
    ],
    ids=lambda value: "-".join(sorted(map(str, value))) or "none",
)
def test_a_setting_changes_the_keys_of_the_nodes_whose_result_depends_on_it(keys, change, nodes):
    plain = keys(dataclasses.replace(BASE, tune=change.get("tune", BASE.tune))) if "tune" in change else keys()
    if change.get("tune", 0) > 0:
        plain = keys()
    other = keys(dataclasses.replace(BASE, **change))
    assert differ({name: plain[name] for name in other}, other) == nodes


def test_the_files_of_the_data_set_change_the_key_of_the_examples(keys, monkeypatch):
    before = keys()
    monkeypatch.setattr("components.ingest.source.content_fingerprint", lambda *_: "other")
    assert differ(before, keys()) == EXAMPLES


def test_own_data_are_told_apart_by_content_alone(keys, tmp_path):
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        write_files(tmp_path / name / "photos", {"a.png": png(seed)})
    one, two, three = (
        keys(dataclasses.replace(BASE, data=f"{tmp_path}/{name}/photos")) for name in ("one", "two", "three")
    )
    share = keys(dataclasses.replace(BASE, data=f"{tmp_path}/two/photos", test_share=0.2))
    assert differ(one, two) == set()
    assert differ(one, three) == differ(one, share) == {"ImageExampleGen"}


def test_with_spans_a_push_is_no_reason_to_train_again_but_another_start_is(keys):
    spans = dataclasses.replace(BASE, tune=0, data="/photos/{SPAN}")
    assert differ(keys(spans), keys(spans, changed="base_model")) == set()
    assert differ(keys(spans), keys(spans, missing="base_model")) == set()
    assert differ(keys(spans), keys(dataclasses.replace(spans, warm_start=False))) == {"Trainer"}


def test_a_cold_start_that_the_default_allows_is_none_for_an_explicit_warm_start(keys):
    spans = dataclasses.replace(BASE, tune=0, data="/photos/{SPAN}")
    explicit = dataclasses.replace(spans, warm_start=True)
    assert differ(keys(spans), keys(explicit)) == {"Trainer"}
    assert differ(keys(explicit), keys(explicit, changed="base_model")) == set()


def test_how_the_spans_are_chosen_changes_no_key_but_the_spans_do(keys):
    spans = dataclasses.replace(BASE, tune=0, data="/photos/{SPAN}", serving_data=None)
    other = dataclasses.replace(spans, spans=3, span_marker="_SUCCESS", span_age_minutes=1.0)
    assert differ(keys(spans), keys(other)) == set()
    assert differ(keys(spans), keys(spans, changed="examples")) == {"Transform", "Trainer", "Evaluator"}


def test_the_order_of_the_spans_in_the_metadata_does_not_matter(artifact):
    one, two = (artifact(standard_artifacts.Examples, content) for content in "ab")
    assert cache.key("toy", "Trainer", {"examples": [one, two]}, {}) == cache.key(
        "toy", "Trainer", {"examples": [two, one]}, {}
    )


def test_an_edit_of_a_schema_changes_its_key(keys, monkeypatch, tmp_path):
    before = keys()
    shutil.copytree(pipeline.dag.SCHEMAS, tmp_path / "schemas")
    monkeypatch.setattr(pipeline.dag, "SCHEMAS", tmp_path / "schemas")
    assert differ(before, keys()) == set(), "where the file is does not matter"
    (tmp_path / "schemas/default/schema.pbtxt").write_text("feature {}")
    nodes_of.cache_clear()
    assert differ(before, keys()) == {"Schema"}


def test_every_setting_is_covered():
    """A new setting has to be told apart above."""
    known = {"dataset", "train", "root", "data_dir", "manual_dir", "min_elbo", "max_regression", "min_label_elbo"}
    known |= {"no_baseline", "image_shape", "allow_shared_images", "tune", "warm_start", "strategy", "workers"}
    known |= {"keep_versions", "keep_runs"}
    known |= {"data", "splits", "test_share", "max_unreadable", "spans", "span_marker", "span_age_minutes"}
    known |= {"serving_data", "drift_threshold", "on_drift"}
    known |= {"notify_url", "checkpoint_minutes", "checkpoint_percent", "images_in_memory", "beam_args", "beam_nodes"}
    assert {field.name for field in dataclasses.fields(PipelineConfig)} == known


LIBRARIES = sorted({library for of in code.CODE.values() for library in of.libraries})


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_librarys_version_changes_the_keys_of_the_nodes_that_use_it(keys, library, monkeypatch):
    before = keys()
    version = code.importlib.metadata.version
    monkeypatch.setattr(code.importlib.metadata, "version", lambda name: "0" if name == library else version(name))
    assert differ(before, keys()) == {name for name, of in code.CODE.items() if library in of.libraries} - {SPAN_DRIFT}


@pytest.mark.parametrize(
    ("module", "nodes"),
    [
        ("components.ingest.example_gen", EXAMPLES),
        ("components.ingest.datasets", EXAMPLES),
        ("components.ingest.numbers", {*EXAMPLES, "ServingSkew"}),
        ("components.drift.bins", {"ServingSkew"}),
        ("components/html/page.css", {"ServingSkew"}),
        ("components.ingest.validator", {"StrictExampleValidator"}),
        ("components.ingest.schema", {"Schema", "StrictExampleValidator"}),
        ("trainer.images", {*EXAMPLES, "ServingSkew", "Transform", "Tuner", "Trainer", "ServingCheck"}),
        ("trainer.model.flows", {"Tuner", "Trainer"}),
        ("components.train.tuner_fn", {"Tuner"}),
        ("components.gate.serving_probe", {"ServingCheck"}),
        ("components.gate.serving_rules", {"ServingCheck"}),
        ("components.gate.metric", {"Evaluator"}),
    ],
)
def test_an_edit_changes_the_keys_of_the_nodes_behind_it(keys, module, nodes, monkeypatch, tmp_path):
    before, sources = keys(), code.sources
    edited = tmp_path / "edited.py"
    edited.write_text("an edit")
    monkeypatch.setattr(
        code,
        "sources",
        lambda names: {name: edited if name == module else path for name, path in sources(names).items()},
    )
    assert differ(before, keys()) >= nodes
    assert not differ(before, keys()) & (set(CACHED) - nodes - {"Evaluator"})


class Store:
    """Executions with one output each."""

    def __init__(self, artifacts):
        self.outputs = artifacts
        self.states = {}

    def put_artifacts(self, artifacts):
        self.states |= {artifact.uri: artifact.state for artifact in artifacts}


def test_damage_is_quarantined_and_said_in_one_line_and_the_result_before_it_is_used(artifact, monkeypatch, caplog):
    sound, damaged = artifact(standard_artifacts.Model, "sound"), artifact(standard_artifacts.Model, "damaged")
    for number, found in enumerate((sound, damaged), start=1):
        found.mlmd_artifact.state, found.id = mlmd.Artifact.LIVE, number
    pathlib.Path(damaged.uri, "file").write_text("damage!")
    executions = [
        mlmd.Execution(id=i, last_known_state=mlmd.Execution.COMPLETE, create_time_since_epoch=i) for i in (1, 2, 3)
    ]
    executions[2].last_known_state = mlmd.Execution.FAILED
    store = Store({1: {"model": [sound]}, 2: {"model": [damaged]}})
    store.get_executions_by_context = lambda _: executions
    monkeypatch.setattr(cache, "artifacts_of", lambda store, execution, kind: store.outputs[execution.id])
    was = damaged.uri
    outputs = cache.get_cached_outputs(type("Handle", (), {"store": store}), mlmd.Context(id=1))
    assert outputs == {"model": [sound]}
    assert store.states == {was: mlmd.Artifact.DELETED}
    (record,) = caplog.records
    moved = record.getMessage().rpartition("moved to ")[2]
    assert f"{was}/file" in record.getMessage()
    assert pathlib.Path(moved, "file").read_text() == "damage!"
    assert not pathlib.Path(was).exists()
    assert not pathlib.Path(digest_file(was)).exists()
    assert artifact_utils.get_single_instance(outputs["model"]).uri == sound.uri
