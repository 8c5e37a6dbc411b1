import dataclasses
import json

import pytest

from components.train.site import SITE, Site
from pipeline.dag import compile_pipeline, create_pipeline
from pipeline.local import plan, site_of
from pipeline.settings import PipelineConfig
from pipeline.state.cache import key
from trainer.presets import PRESETS


@pytest.fixture
def config(tmp_path):
    return PipelineConfig(dataset="photo_patches", train=PRESETS["smoke"], root=str(tmp_path))


def upstream(pipeline, name, seen=None):
    """Every node that runs before `name`."""
    nodes = {node.id: node for node in pipeline.components}
    seen = set() if seen is None else seen
    for node in nodes[name].upstream_nodes:
        if node.id not in seen:
            seen.add(node.id)
            upstream(pipeline, node.id, seen)
    return seen


def test_nothing_is_trained_on_data_that_were_not_validated(config):
    assert "StrictExampleValidator" in upstream(create_pipeline(config), "Trainer")


def test_nothing_is_trained_that_could_not_be_compared(config):
    tuning = dataclasses.replace(config, tune=3)
    assert {"LastBlessedModel", "UnitsCheck"} <= upstream(create_pipeline(config), "Trainer")
    assert {"LastBlessedModel", "UnitsCheck"} <= upstream(create_pipeline(tuning), "Tuner")


def test_a_tuner_is_there_when_asked_for_and_feeds_the_trainer(config):
    assert "Tuner" not in {node.id for node in create_pipeline(config).components}
    assert "Tuner" in upstream(create_pipeline(dataclasses.replace(config, tune=3)), "Trainer")


def test_only_a_warm_start_trains_from_the_last_blessed_model(config):
    def base_model(config):
        nodes = {node.id: node for node in create_pipeline(config).components}
        return nodes["Trainer"].inputs.get("base_model"), nodes["LastBlessedModel"].outputs["model"]

    assert base_model(config)[0] is None
    given, last_blessed = base_model(dataclasses.replace(config, warm_start=True))
    assert (given.producer_component_id, given.output_key) == ("LastBlessedModel", last_blessed.output_key)


def test_nothing_is_pushed_that_was_not_evaluated(config):
    assert {"Evaluator", "LastBlessedModel"} <= upstream(create_pipeline(config), "AtomicPusher")


def test_only_the_pusher_and_the_check_of_units_are_never_cached(config):
    uncached = [
        node.pipeline_node.node_info.id
        for node in compile_pipeline(create_pipeline(config)).nodes
        if not node.pipeline_node.execution_options.caching_options.enable_cache
    ]
    assert uncached == ["UnitsCheck", "AtomicPusher", "Report"]


@pytest.mark.parametrize(
    ("node", "setting", "values"),
    [
        ("Trainer", "checkpoint_minutes", (9.0, 0.5)),
        ("Trainer", "checkpoint_percent", (9.0, 0.5)),
        ("Trainer", "images_in_memory", (2048, 0)),
        ("Trainer", "strategy", ("auto", "mirrored")),
        ("Trainer", "workers", (1, 2)),
        ("Trainer", "root", ("/here", "/there")),
        ("Tuner", "strategy", ("auto", "mirrored")),
        ("Tuner", "images_in_memory", (2048, 0)),
    ],
)
def test_where_a_training_runs_reaches_it_and_is_no_part_of_the_cache_key(node, setting, values, config):
    keys = set()
    for value in values:
        changed = dataclasses.replace(config, **{setting: value}, tune=int(node == "Tuner"))
        nodes = {n.pipeline_node.node_info.id: n.pipeline_node for n in plan(changed, "run", site_of(changed)).nodes}
        parameters = {name: p.field_value.string_value for name, p in nodes[node].parameters.parameters.items()}
        site = Site.from_dict(json.loads(parameters["custom_config"])[SITE])
        assert (site.training if setting == "root" else getattr(site.execution, setting)) in (value, changed.training)
        keys.add(key("vaeiaf", node, {}, parameters))
    assert len(keys) == 1


def test_a_training_knows_that_a_warm_start_was_asked_for(config):
    assert site_of(dataclasses.replace(config, warm_start=True)).warm_start


def test_making_the_graph_touches_no_file(config, tmp_path):
    compile_pipeline(create_pipeline(config))
    assert not list(tmp_path.iterdir())
