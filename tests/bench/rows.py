"""The rows of the table and the objects of bench.json."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A measurement, with None in columns that do not apply."""

    name: str
    batch_size: int | None = None
    images_per_second: float | None = None
    ratio_to_seed: float | None = None  # images per second relative to the seed's loop at the same batch size
    fraction_of_gemm_limit: float | None = None  # of the time that the model's products take at GEMM peak
    more: dict[str, float] = {}  # noqa: RUF012 - never written to; unit in the name: seconds, peak_mb, ...


def table(rows: Sequence[Row]) -> str:
    """Returns the rows as a table."""
    lines = [f"{'':<44}{'batch':>6}{'images/s':>10}{'to seed':>9}{'of GEMM':>9}  more"]
    for row in rows:
        more = ", ".join(f"{name} {value:,.4g}" for name, value in row.more.items())
        lines.append(
            f"{row.name:<44}{_cell(row.batch_size, 'd'):>6}{_cell(row.images_per_second, ',.0f'):>10}"
            f"{_cell(row.ratio_to_seed, '.2f'):>9}{_cell(row.fraction_of_gemm_limit, '.2f'):>9}  {more}".rstrip()
        )
    return "\n".join(lines)


def write(rows: Sequence[Row], path: pathlib.Path) -> None:
    """Writes the rows as a list of flat objects: the values of `more` are beside the columns."""
    path.write_text(json.dumps([_object(row) for row in rows], indent=1) + "\n")


def _object(row: Row) -> dict[str, Any]:
    columns = row._asdict()
    more = columns.pop("more")
    return columns | more


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
