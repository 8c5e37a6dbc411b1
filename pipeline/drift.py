"""The nodes that compare the data of a run with others before it trains: with serving data, and span against span."""

from tfx.components.statistics_gen.component import StatisticsGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.types import BaseChannel, Channel
from tfx.types.standard_artifacts import Examples, ExampleStatistics, Model, ModelBlessing

from components.drift.compare import Comparator
from components.drift.component import Drift
from components.drift.gate import DriftGate
from components.drift.names import SERVING_SKEW, SPAN_DRIFT
from components.gate.last_blessed import LastBlessedModelStrategy
from components.ingest import statistics
from components.ingest.example_gen import Asked, ImageExampleGen
from components.ingest.spans import Span
from pipeline.settings import PipelineConfig
from pipeline.state.spans import PreviousSpanStrategy

Described = tuple[BaseChannel, BaseChannel]  # Examples and their statistics

SERVING_TEST_SHARE = 0.5  # of serving data: their test images have an ELBO, and nothing is trained on the others


def asked_of(config: PipelineConfig) -> Asked:
    """Returns what the run asks of the ingestion of its data."""
    return Asked(**{name: getattr(config, name) for name in Asked._fields})


def described(examples: BaseChannel) -> StatisticsGen:
    """Returns the node that makes statistics of `examples`."""
    return StatisticsGen(examples, stats_options=statistics.options())


def last_blessed(config: PipelineConfig) -> Resolver:
    """Returns the node that finds the served model."""
    return Resolver(
        LastBlessedModelStrategy,
        config={"push_directory": config.push_directory, "no_baseline": config.no_baseline},
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
    ).with_id("LastBlessedModel")


def serving_skew(
    config: PipelineConfig, examples: BaseChannel, of_examples: BaseChannel, served: Resolver
) -> list[BaseNode]:
    """Returns the nodes that compare the data with those that a served model was given, if there are some.

    Args:
      config: the run.
      examples: the data, of all its spans.
      of_examples: their statistics.
      served: finds the served model.
    """
    if config.serving_data is None:
        return []
    asked = asked_of(config)._replace(
        data=config.serving_data,
        splits=None,
        test_share=SERVING_TEST_SHARE,
        allow_shared_images=True,
        span_marker=None,
        min_label_elbo=None,
    )
    example_gen = ImageExampleGen(asked).with_id("ServingExampleGen")
    statistics_gen = described(example_gen.outputs["examples"]).with_id("ServingStatisticsGen")
    reference = example_gen.outputs["examples"], statistics_gen.outputs["statistics"]
    skew = Drift(
        Comparator.SKEW,
        ("the training data", "the serving data"),
        config.drift_threshold,
        **_compared((examples, of_examples), reference, served),
    ).with_id(SERVING_SKEW)
    return [example_gen, statistics_gen, skew, _gate(config, skew)]


def span_drift(config: PipelineConfig, examples: BaseChannel, of_examples: BaseChannel, span: Span) -> list[BaseNode]:
    """Returns the nodes that compare a span with the one before it.

    Args:
      config: the run.
      examples: the images of the span.
      of_examples: their statistics.
      span: the span.
    """
    previous = Resolver(
        PreviousSpanStrategy,
        config={"number": span.number},
        examples=Channel(type=Examples),
        statistics=Channel(type=ExampleStatistics),
    ).with_id("PreviousSpan")
    served = last_blessed(config)
    reference = previous.outputs["examples"], previous.outputs["statistics"]
    drift = Drift(
        Comparator.DRIFT,
        ("the images of the span", "those of the span"),
        config.drift_threshold,
        **_compared((examples, of_examples), reference, served),
    ).with_id(SPAN_DRIFT)
    return [previous, served, drift, _gate(config, drift)]


def _compared(data: Described, reference: Described, served: Resolver) -> dict[str, BaseChannel]:
    """Returns the inputs of a comparison of `data` with `reference`, also by the served model."""
    return {
        "examples": data[0],
        "statistics": data[1],
        "reference_examples": reference[0],
        "reference_statistics": reference[1],
        "baseline": served.outputs["model"],
    }


def _gate(config: PipelineConfig, drift: BaseNode) -> BaseNode:
    """Returns the node that warns or stops by what `drift` found."""
    return DriftGate(on_drift=config.on_drift, drift=drift.outputs["drift"])
