"""ServingCheck: a fresh process loads the new model as a model server does, before anything depends on it.

It takes the place of TFX's InfraValidator, which needs a container of TensorFlow Serving, and gives the same blessing,
without which AtomicPusher pushes nothing. It runs before the Evaluator, which would fail on a model that cannot be
loaded, and which does not bless one that cannot be served: a blessed model may become the baseline of the next.
"""

import os
import pathlib

import numpy as np
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.gate.serving_process import Observed, observe
from components.gate.serving_record import FILE, Latency, Serving
from components.gate.serving_rules import answers, elbo_difference, interface
from trainer.shape import Shape
from trainer.units import read_units
from trainer.warmup import read_warmup

BLESSED = "blessed"  # TFX's property of an InfraBlessing


@component
def ServingCheck(
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
):
    """Checks the model in a fresh process, writes the numbers, and blesses it if it can be served.

    Raises:
      ReportedError: the machine stopped the process.
    """
    serving = check(path_utils.serving_model_path(model.uri))
    os.makedirs(blessing.uri, exist_ok=True)
    pathlib.Path(blessing.uri, FILE).write_text(serving.to_json())
    blessing.set_int_custom_property(BLESSED, int(not serving.reasons))


def check(model: str) -> Serving:
    """Checks the SavedModel at the path `model`.

    Raises:
      ReportedError: the machine stopped the process.
    """
    observed = observe(model)
    if observed.failure:
        return Serving.useless([observed.failure], observed.loaded_seconds)
    expected = read_warmup(model)
    if reasons := interface(observed, expected, Shape.parse(read_units(model).shape)):
        return Serving.useless(reasons, observed.loaded_seconds)
    return Serving(
        reasons=answers(observed, expected),
        answers=True,
        loaded_seconds=observed.loaded_seconds,
        elbo_difference=elbo_difference(observed, expected),
        latency=_latency(observed),
    )


def _latency(observed: Observed) -> dict[str, dict[str, Latency]]:
    return {
        name: {
            images: Latency(float(np.median(took)), float(np.percentile(took, 95))) for images, took in sizes.items()
        }
        for name, sizes in observed.latency.items()
    }
