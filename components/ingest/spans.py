"""Spans: data that arrive in pieces, one directory or file each, at paths of one pattern.

The patterns are TFX's: `photos/{SPAN}`, `photos/{YYYY}-{MM}-{DD}`, and `{VERSION}` beside either.
"""

import collections
import glob
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from components.ingest.splits import TEST, Parts
from trainer.errors import UserError
from trainer.schema import SettingError

PLACEHOLDER = re.compile(r"\{(?:(SPAN|VERSION)(?::[1-9]\d*)?|(YYYY|MM|DD))\}")
KINDS = ({"SPAN": 1}, {"YYYY": 1, "MM": 1, "DD": 1})
VALID = (
    "a path with {SPAN}, or with {YYYY}, {MM} and {DD}, each once, and with at most one {VERSION}; {SPAN:3} is padded"
)


class Span(NamedTuple):
    """A piece of the data."""

    number: int  # as written, or days since 1970
    version: int | None
    name: str  # its path below the folder of all spans, such as 2026-01-03
    path: str


def of_json(fields: dict[str, Any] | None) -> Span | None:
    """Returns the span with these fields, in which JSON may have turned integers into floats; None of None."""
    if fields is None:
        return None
    version = fields["version"]
    return Span(**{**fields, "number": int(fields["number"]), "version": None if version is None else int(version)})


def is_pattern(data: str | None) -> bool:
    """Tells whether the path `data` stands for spans."""
    return data is not None and "{" in data


def folder_of(pattern: str) -> str:
    """Returns the folder of all spans: the path before the first part with a placeholder."""
    return os.path.dirname(pattern.partition("{")[0])


def check_pattern(pattern: str) -> None:
    """Checks the pattern `data`, as TFX does, whose import takes seconds.

    Raises:
      SettingError: TFX would not understand it, or would take a part of it literally.
    """
    found = collections.Counter("".join(match) for match in PLACEHOLDER.findall(pattern))
    versions = found.pop("VERSION", 0)
    if dict(found) not in KINDS or versions > 1 or set("{}") & set(PLACEHOLDER.sub("", pattern)):
        raise SettingError("data", VALID, pattern)


def check_parts(span: Span, parts: Parts) -> None:
    """Checks that a hash of each image of `span` may choose its test images.

    Raises:
      UserError: it has a part for test.
    """
    if TEST in parts:
        raise UserError(
            f"the span {span.name} has a part for test",
            value=span.path,
            valid="none with spans, whose test images a hash of each chooses: an image of the test part of one span "
            "may be in the train part of an earlier one, on which the served model was trained",
            remedy="Put all its images into one folder, or into train",
        )


def find_spans(pattern: str) -> tuple[list[Span], list[str]]:
    """Returns the spans, the newest version of the newest first, and the paths beside them that are none.

    Raises:
      SettingError: two paths have the same span and version.
    """
    folder, (glob_pattern, match) = folder_of(pattern), _matcher(pattern)
    found: dict[tuple[int, int | None], Span] = {}
    others = []
    for name in sorted(glob.glob(glob_pattern, root_dir=folder)):
        try:
            number, version = match(name)
        except ValueError:
            others.append(name)
            continue
        span = Span(number, version, name, os.path.join(folder, name))
        if (other := found.setdefault((number, version), span)) != span:
            valid = f"one path for each span and version, not both {other.name} and {name}"
            raise SettingError("data", valid, pattern, remedy="Rename one of them")
    return sorted(found.values(), key=lambda span: (span.number, span.version or 0), reverse=True), others


def _matcher(pattern: str) -> tuple[str, Callable[[str], tuple[int, int | None]]]:
    """Returns the glob of a pattern below its folder, and a function that reads span and version from such a path.

    The function raises ValueError if the path has none.
    """
    from tfx.components.example_gen import utils  # takes seconds
    from tfx.proto import example_gen_pb2

    split: Any = example_gen_pb2.Input.Split(name="span", pattern=os.path.relpath(pattern, folder_of(pattern)))
    specs = utils.verify_split_pattern_specs(split)
    glob_pattern, regex = utils._create_matching_glob_and_regex("", split, *specs, None)

    def match(name: str) -> tuple[int, int | None]:
        # TFX's own search would find the span 123 of {SPAN:3} in 1234.
        tokens, number, _, version = utils._find_matched_span_version_from_path(name, f"^{regex}$", *specs)
        if not all(token.isdecimal() for token in tokens):  # int() also accepts 1_0, -1 and blanks
            raise ValueError(f"{name} has no number")
        return number, version

    return glob_pattern, match
