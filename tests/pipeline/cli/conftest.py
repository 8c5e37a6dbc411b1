import json

import pytest

from pipeline import cli
from state_root import StateRoot


@pytest.fixture
def state(tmp_path):
    return StateRoot(tmp_path / "root")


@pytest.fixture
def vaeiaf(state, capsys):
    """Runs a command on the state directory; returns its exit code, and what it printed and complained."""

    def run(command, *arguments):
        code = cli.main([command, f"--root={state.root}", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def facts(vaeiaf):
    """What a command prints with --json."""

    def run(command, *arguments):
        _, out, err = vaeiaf(command, "--json", *arguments)
        assert err == ""
        return json.loads(out)

    return run
