"""Compares two exported models image by image, on the same images with the same noise, and says which is better. The
difference is that of B over A.
"""

import argparse
from typing import TYPE_CHECKING, Any

from pipeline.cli._errand import add_errand
from pipeline.cli._models import add_model, checked_folder, path_of, quiet
from pipeline.cli._options import add_data, data_of
from pipeline.cli._output import add_json, print_json, print_parts, table
from pipeline.cli.evaluate import NAMES, numbers
from trainer.exit_codes import DONE

if TYPE_CHECKING:
    from components.gate.measure import Measured
    from components.gate.sums import Metrics
    from trainer.units import Units

HELP = "compare two models on the same images"
EXAMPLE = "compare 1795649102 served --dataset photo_patches --output comparison"
GUIDE = "howto/measure.md"
EPILOG = "Exit codes: 0 compared, 1 a model is damaged, 2 bad input, 130 and 143 stopped by SIGINT and SIGTERM."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the two models, the data, the split and a folder of pictures."""
    add_model(parser, "a", "the first model: ")
    add_model(parser, "b", "the second model: ")
    add_data(parser)
    add_errand(parser)
    parser.add_argument("--split", choices=("test", "train"), default="test", help="of the data (default: %(default)s)")
    parser.add_argument("--output", metavar="FOLDER", help="new folder for a page with pictures, and the PNG files")
    add_json(parser)


def check(options: argparse.Namespace) -> None:
    """Checks the folder."""
    options.output = options.output and checked_folder(options.output)


def run(options: argparse.Namespace) -> int:
    """Compares the models, prints the difference and draws the pictures."""
    config, output = data_of(options), options.output
    paths = path_of(options, "a"), path_of(options, "b")
    with quiet():
        from components.gate.measure import measure
        from components.gate.units_check import check_equal
        from components.pages.comparison import verdict, write_comparison
        from pipeline.examples import examples_of, folders_of
        from trainer.exported import Exported

        a, b = (Exported(path) for path in paths)
        check_equal(a.units, b.units, "model A", "model B", "Compare models of equal settings")
        with examples_of(config, a.shape) as examples:
            splits = folders_of(examples, options.split)
            measured = measure(b, splits, a)
            if output:
                write_comparison(output, a, b, measured, splits, options.split)
    facts = _facts(paths, config.source, options.split, a.units, measured, output)
    if options.json:
        print_json(facts)
    else:
        _print(facts, f"{verdict(measured.whole)}. Measure: {a.units}.")
    return DONE


def _facts(
    paths: tuple[str, str], data: str, split: str, units: "Units", measured: "Measured", output: str | None
) -> dict[str, Any]:
    from components.pages.comparison import better

    assert measured.baseline is not None
    whole = measured.whole
    return {
        "a": {"model": paths[0], **numbers(measured.baseline, units)},
        "b": {"model": paths[1], **numbers(whole, units)},
        "data": data,
        "split": split,
        "units": units,
        **_gain(whole),
        "labels": {label: _gain(found) for label, found in measured.labels.items()},
        "better": better(whole),
        "page": output and f"{output}/index.html",
    }


def _gain(of_b: "Metrics") -> dict[str, Any]:
    interval = of_b["elbo_gain_lower"], of_b["elbo_gain_upper"]
    return {"images": int(of_b["images"]), "gain": of_b["elbo_gain"], "gain_interval": interval}


def _print(facts: dict[str, Any], result: str) -> None:
    a, b = facts["a"], facts["b"]
    keys = {"elbo": NAMES["elbo"], "elbo_standard_error": "standard error", **NAMES}
    rows = [(name, f"{a[key]:.2f}", f"{b[key]:.2f}") for key, name in keys.items()]
    print_parts(
        f"A: {a['model']}", f"B: {b['model']}", table((f"nats per image, {facts['split']}", ">A", ">B"), rows), ""
    )
    print_parts(result)
    if facts["page"]:
        print_parts(f"Page: {facts['page']}")
