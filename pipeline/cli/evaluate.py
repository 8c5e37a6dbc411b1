"""Measures an exported model: mean ELBO with its interval, its parts and bounds, over images that are ingested as a run
ingests them. Changes nothing in the state directory.
"""

import argparse
from typing import TYPE_CHECKING, Any

from pipeline.cli._errand import add_errand
from pipeline.cli._models import add_model, path_of, quiet
from pipeline.cli._options import add_data, data_of
from pipeline.cli._output import add_json, print_json, print_parts, table
from trainer.exit_codes import DONE

if TYPE_CHECKING:
    from components.gate.measure import Measured
    from components.gate.sums import Metrics
    from trainer.units import Units

HELP = "measure a model on images: ELBO with its interval"
EXAMPLE = "evaluate served --dataset photo_patches"
GUIDE = "howto/measure.md"
EPILOG = "Exit codes: 0 measured, 1 the model is damaged, 2 bad input, 130 and 143 stopped by SIGINT and SIGTERM."
NAMES = {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL", "independent_pixels": "independent pixels"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the model, the data and the split."""
    add_model(parser)
    add_data(parser)
    add_errand(parser)
    parser.add_argument("--split", choices=("test", "train"), default="test", help="of the data (default: %(default)s)")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluates the model and prints its numbers."""
    config, path = data_of(options), path_of(options)
    with quiet():
        from components.gate.measure import measure
        from pipeline.examples import examples_of, folders_of
        from trainer.exported import Exported

        model = Exported(path)
        with examples_of(config, model.shape) as examples:
            measured = measure(model, folders_of(examples, options.split))
    facts = _facts(path, config.source, options.split, model.units, measured)
    if options.json:
        print_json(facts)
    else:
        _print(facts, model.units)
    return DONE


def numbers(metrics: "Metrics", units: "Units") -> dict[str, Any]:
    """Returns the numbers of a mean ELBO: its interval, its parts, bits/dim if there are any, and the images."""
    from components.gate.sums import interval

    found: dict[str, Any] = {name: metrics[name] for name in NAMES}
    found["elbo_standard_error"] = metrics["elbo_standard_error"]
    found["elbo_interval"] = interval(metrics["elbo"], metrics["elbo_standard_error"])
    found["bits_per_dim"] = units.bits_per_dim(metrics["elbo"])
    return {**found, "images": int(metrics["images"])}


def _facts(path: str, data: str, split: str, units: "Units", measured: "Measured") -> dict[str, Any]:
    return {
        "model": path,
        "data": data,
        "split": split,
        "units": units,
        **numbers(measured.whole, units),
        "data_fingerprint": f"{int(measured.whole['data_fingerprint']):x}",
        "labels": {label: numbers(metrics, units) for label, metrics in measured.labels.items()},
    }


def _print(facts: dict[str, Any], units: "Units") -> None:
    rows = [(name, f"{facts[key]:.2f}") for key, name in NAMES.items()]
    lower, upper = facts["elbo_interval"]
    rows[1:1] = [
        ("standard error", f"{facts['elbo_standard_error']:.2f}"),
        ("95 % interval", f"{lower:.2f} to {upper:.2f}"),
    ]
    if facts["bits_per_dim"] is not None:
        rows.append(("bits/dim", f"{facts['bits_per_dim']:.3f}"))
    print_parts(f"Model: {facts['model']}", table(("nats per image", f">{facts['split']}"), rows))
    print_parts(
        f"{facts['images']:,} images of {facts['data']}, fingerprint {facts['data_fingerprint']}. Measure: {units}."
    )
    if facts["labels"]:
        labels = [
            (label, f"{found['images']:,}", f"{found['elbo']:.2f}", f"{found['elbo_standard_error']:.2f}")
            for label, found in facts["labels"].items()
        ]
        print_parts("", table(("label", ">images", ">ELBO", ">standard error"), labels))
