import datetime
import json
import math
import os
import pty
import subprocess
import sys
from typing import NamedTuple

import pytest

from pipeline.cli._output import print_json, print_parts, styled, table


class Fact(NamedTuple):
    name: str
    time: datetime.datetime
    elbo: float


def test_json_has_names_times_and_null_for_what_is_no_number(capsys):
    print_json([Fact("größe", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), math.nan)])
    assert json.loads(capsys.readouterr().out) == [{"name": "größe", "time": "2026-01-02T03:04:05+00:00", "elbo": None}]


def test_off_a_terminal_a_table_has_no_colour_and_is_not_cut(capsys):
    long = "/a/[bold]/path/" * 40
    print_parts("a line", table(["path", ">n"], [[styled(long, "red"), 7], [None, 12]]))
    line, heads, *rows = capsys.readouterr().out.splitlines()
    assert line == "a line"
    assert heads.split() == ["path", "n"]
    assert rows[0].split() == [long, "7"]
    assert rows[1].endswith("12")


PROGRAM = "from pipeline.cli._output import *; print_parts(table(['a'], [[styled('x', 'red')]]))"


@pytest.mark.parametrize(("environment", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_unless_the_user_wants_none(environment, is_coloured):
    parent, child = pty.openpty()
    base = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM], stdout=child, env={**base, "TERM": "xterm", **environment}, check=True
    )
    os.close(child)
    assert ("\x1b[31m" in os.read(parent, 10_000).decode()) == is_coloured
    os.close(parent)
