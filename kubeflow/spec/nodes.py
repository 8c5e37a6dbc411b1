"""The tasks of the pipeline: TFX's nodes, and the verdict behind them."""

import re

VERDICT = "Verdict"  # fails when the gate refuses, so that the run does
OPTIONAL = ("Tuner",)  # TFX's nodes that a run may do without
TITLES = {  # by node, as the UI shows them
    "ImageExampleGen": "Read the images",
    "StatisticsGen": "Count their features",
    "Schema": "Load the schema",
    "StrictExampleValidator": "Validate the images",
    "Transform": "Make the transform",
    "LastBlessedModel": "Find the last blessed model",
    "UnitsCheck": "Check that it can be compared",
    "Tuner": "Tune the recipe",
    "Trainer": "Train the VAE with IAF",
    "Evaluator": "Evaluate the test-set ELBO",
    "AtomicPusher": "Push the model if blessed",
    "Report": "Write the report",
    VERDICT: "Say whether it was pushed",
}


def kebab(node: str) -> str:
    """Returns the name of the node's task: image-example-gen for ImageExampleGen."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", node).lower()
