"""What Beam finds about all images: numbers and examples in a file beside the Examples.

A remote Beam runner can return nothing else.
"""

import json
import pathlib
from typing import Any

import apache_beam as beam

Found = dict[str, beam.pvalue.AsSideInput]


def counted(name: str, items: beam.PCollection) -> Found:
    """Returns the number of `items`, `NAME_count`."""
    return {f"{name}_count": beam.pvalue.AsSingleton(items | f"Count[{name}]" >> beam.combiners.Count.Globally())}


def summary(name: str, items: beam.PCollection, shown: int) -> Found:
    """Returns the number of `items`, and the first few of them in their order, `NAME_examples`."""
    first = items | f"First[{name}]" >> beam.combiners.Top.Smallest(shown)
    return {**counted(name, items), f"{name}_examples": beam.pvalue.AsSingleton(first)}


def write_findings(pipeline: beam.Pipeline, path: str, found: Found) -> None:
    """Extends `pipeline`, so that it writes what was `found` to the file `path`."""
    name = pathlib.Path(path).name
    _ = pipeline | f"Start[{name}]" >> beam.Create([path]) | f"Write[{name}]" >> beam.Map(_write, **found)


def read_findings(path: str) -> dict[str, Any]:
    """Undoes `write_findings`."""
    return json.loads(pathlib.Path(path).read_text())


def _write(path: str, **found: int | list) -> None:
    pathlib.Path(path).write_text(json.dumps(found))
