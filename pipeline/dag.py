"""The pipeline: the ingestion of data, and all that is behind it.

Data without spans are ingested in the same run. Each span is ingested in a run of its own, so that its results can be
reused when the window of spans moves.
"""

import json
import pathlib
from typing import NamedTuple

import tensorflow as tf  # noqa: F401  before tfx, whose imports would print its start-up lines
from tfx.components.trainer.component import Trainer
from tfx.components.tuner.component import Tuner
from tfx.dsl.compiler import compiler
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2, transform_pb2
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import Channel
from tfx.types.channel import union
from tfx.types.standard_artifacts import Examples, ExampleStatistics

from components import ingest
from components.drift.component import DriftFindings
from components.gate.evaluator import Evaluator
from components.gate.pusher import AtomicPusher
from components.gate.rules import eval_config
from components.gate.serving_check import ServingCheck
from components.gate.units_check import UnitsCheck
from components.ingest.datasets import base_name
from components.ingest.example_gen import ImageExampleGen
from components.ingest.schema import CuratedSchema
from components.ingest.span_window import SpanWindow
from components.ingest.spans import Span
from components.ingest.transform import Transform
from components.ingest.validator import StrictExampleValidator
from components.pages.report import Report
from components.train.site import SITE, Site
from pipeline.beam.arguments import BEAM_ARGS, beam_args, job_prefix
from pipeline.drift import asked_of, described, last_blessed, serving_skew, span_drift
from pipeline.settings import PipelineConfig
from pipeline.state.cache import UNKEYED
from pipeline.state.spans import SpanExamplesStrategy

WINDOW_NODE = "SpanWindow"  # behind it, each span is ingested in a run of its own
SCHEMAS = pathlib.Path(ingest.__file__).parent / "schemas"


def create_pipeline(config: PipelineConfig, site: Site = Site()) -> Pipeline:  # noqa: B008  it is frozen
    """Images to a pushed VAE/IAF: ingest, validate, transform, train, check, evaluate, push, report.

    If the data have spans, it ingests none: it decides on them, and takes the Examples of `create_span_pipeline`.
    """
    ingestion = decide_on_spans(config) if config.has_spans else ingest_images(config)
    examples, schema = ingestion.examples, ingestion.schema

    transform = Transform(
        examples,
        schema,
        preprocessing_fn="components.ingest.transform.preprocess_examples",
        materialize=False,
        disable_statistics=True,
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=[]),
    )
    transform.add_upstream_node(ingestion.nodes[-1])

    recipe = config.train.to_dict()
    served = last_blessed(config)
    units_check = UnitsCheck(
        recipe=json.dumps(recipe),
        examples=examples,
        baseline=served.outputs["model"],
        blessing=served.outputs["model_blessing"],
        push_directory=config.push_directory,
        no_baseline=config.no_baseline,
    )

    skew = serving_skew(config, examples, ingestion.statistics, served)

    data = {
        "examples": examples,
        "transform_graph": transform.outputs["transform_graph"],
        "train_args": trainer_pb2.TrainArgs(splits=["train"]),
        "eval_args": trainer_pb2.EvalArgs(splits=["test"]),
    }
    where = {SITE: site.to_dict()}
    search = {"train": recipe, "trials": config.tune, **where}
    tuners = [Tuner(tuner_fn="components.train.tuner_fn.tuner_fn", custom_config=search, **data)] if config.tune else []
    trainer = Trainer(
        run_fn="components.train.run_fn.run_fn",
        hyperparameters=tuners[0].outputs["best_hyperparameters"] if tuners else None,
        base_model=served.outputs["model"] if config.starts_warm else None,
        # A push changes the base model. Were it part of the key, the same spans would be trained on again every night.
        # An explicit warm start does not reuse a training that the default let start cold.
        custom_config={
            "train": recipe,
            **({"must_start_warm": True} if config.has_spans and config.warm_start else {}),
            UNKEYED: ["base_model"] if config.has_spans and config.starts_warm else [],
            **where,
        },
        **data,
    )
    model = trainer.outputs["model"]
    for node in (*tuners, trainer):
        for check in (units_check, *skew[-1:]):
            node.add_upstream_node(check)
    serving_check = ServingCheck(model=model)
    gate = eval_config(config.min_elbo, config.max_regression, config.min_label_elbo, config.no_baseline)
    evaluator = Evaluator(
        examples=examples,
        model=model,
        infra_blessing=serving_check.outputs["blessing"],
        baseline_model=served.outputs["model"],
        eval_config=gate,
    )
    pusher = AtomicPusher(
        examples=examples,
        model=model,
        infra_blessing=serving_check.outputs["blessing"],
        model_blessing=evaluator.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"],
        push_directory=config.push_directory,
        source=config.source,
        eval_config=gate,
    )
    drifts = [node.outputs["drift"] for node in (*ingestion.nodes, *skew) if "drift" in node.outputs]
    report = Report(
        examples=examples,
        model=model,
        model_run=trainer.outputs["model_run"],
        evaluation=evaluator.outputs["evaluation"],
        pushed_model=pusher.outputs["pushed_model"],
        baseline=served.outputs["model"],
        settings=json.dumps(config.recorded),
        **({"drift": union(drifts)} if drifts else {}),
    )

    components = [
        *ingestion.nodes,
        transform,
        served,
        units_check,
        *skew,
        *tuners,
        trainer,
        serving_check,
        evaluator,
        pusher,
        report,
    ]
    return _pipeline(config, site, components)


def create_span_pipeline(config: PipelineConfig, site: Site, span: Span, newest: bool) -> Pipeline:
    """Images of one span to validated Examples; the `newest` one is compared with the one before it."""
    ingestion = ingest_images(config, span)
    drift = span_drift(config, ingestion.examples, ingestion.statistics, span) if newest else []
    return _pipeline(config, site, [*ingestion.nodes, *drift])


class Ingestion(NamedTuple):
    """Nodes that end with validated Examples."""

    nodes: list[BaseNode]  # in their order; nothing may be trained before the last one
    examples: Channel
    statistics: Channel
    schema: Channel


def ingest_images(config: PipelineConfig, span: Span | None = None) -> Ingestion:
    """Ingests and validates images, of `span` if the data have spans."""
    example_gen = ImageExampleGen(asked_of(config), span)
    statistics_gen = described(example_gen.outputs["examples"])
    schema = schema_of(None if config.data else config.dataset)
    validator = StrictExampleValidator(statistics_gen.outputs["statistics"], schema.outputs["schema"])
    nodes = [example_gen, statistics_gen, schema, validator]
    channels = (example_gen.outputs["examples"], statistics_gen.outputs["statistics"], schema.outputs["schema"])
    return Ingestion(nodes, *channels)


def decide_on_spans(config: PipelineConfig) -> Ingestion:
    """Decides on the spans of the run, and takes what was ingested of each in the meantime."""
    window = SpanWindow(
        data=config.data,
        spans=config.spans,
        span_marker=config.span_marker or "",
        span_age_minutes=config.span_age_minutes,
    )
    schema = schema_of(None)
    found = Resolver(
        SpanExamplesStrategy,
        window=window.outputs["window"],
        examples=Channel(type=Examples),
        statistics=Channel(type=ExampleStatistics),
        drift=Channel(type=DriftFindings),
    ).with_id("SpanExamples")
    channels = (found.outputs["examples"], found.outputs["statistics"], schema.outputs["schema"])
    return Ingestion([window, schema, found], *channels)


def _pipeline(config: PipelineConfig, site: Site, components: list[BaseNode]) -> Pipeline:
    engine = beam_args(config.beam_args, job_prefix(config.name, config.root, site.run))
    for node in components:
        if isinstance(node, BaseBeamComponent):
            node.with_beam_pipeline_args([*(engine if node.id in config.beam_nodes else BEAM_ARGS)])  # TFX adds to it
    return Pipeline(pipeline_name=config.name, pipeline_root=config.artifacts, components=components, enable_cache=True)


def compile_pipeline(pipeline: Pipeline) -> pipeline_pb2.Pipeline:
    """Compiles `pipeline` to TFX's intermediate representation.

    The pusher and the report are never cached: the push directory may change while their inputs do not. Nor is the
    window of spans, whose directories change. The check of the units and the gate for drift are as cheap as a cache
    lookup.
    """
    ir = compiler.Compiler().compile(pipeline)
    for node in ir.nodes:
        if node.pipeline_node.node_info.id in ("SpanWindow", "AtomicPusher", "UnitsCheck", "DriftGate", "Report"):
            node.pipeline_node.execution_options.caching_options.enable_cache = False
    return ir


def schema_of(dataset: str | None) -> BaseNode:
    """Returns the node of the data set's curated schema, or of the default one; the cache key has its content."""
    folder = SCHEMAS / base_name(dataset or "default")
    path = (folder if folder.is_dir() else SCHEMAS / "default") / "schema.pbtxt"
    return CuratedSchema(content=path.read_text(), source=str(path)).with_id("Schema")
