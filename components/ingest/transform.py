"""Transform: TFX's, whose graph decodes images of the shape that the Examples state."""

import json
from typing import Any

import tensorflow as tf
from tfx.components.transform import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_component_specs as specs

from components.artifacts import Artifacts
from components.ingest.shapes import PROPERTY
from components.ingest.together import check_splits, one_shape
from trainer.images import preprocess
from trainer.shape import Shape


def preprocess_examples(features: dict[str, tf.Tensor], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Decodes, flattens and scales images of the shape in `custom_config`. TFX calls it."""
    return preprocess(features, Shape.parse(custom_config[PROPERTY]))


class Executor(executor.Executor):
    """TFX's executor, which gets the shape from the Examples: TFX fixes the shapes of a graph when it traces it."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Writes the graph.

        Raises:
          UserError: the images of several spans have different shapes, or a split of all of them is empty.
        """
        check_splits(input_dict[specs.EXAMPLES_KEY])
        shape = one_shape(input_dict[specs.EXAMPLES_KEY])
        config = json.dumps({PROPERTY: str(shape)})
        super().Do(input_dict, output_dict, {**exec_properties, specs.CUSTOM_CONFIG_KEY: config})


class Transform(component.Transform):
    """TFX's component, with the shape from the Examples."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
