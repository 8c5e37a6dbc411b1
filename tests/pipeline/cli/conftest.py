import json
import shutil

import pytest

from pipeline import cli
from state_root import StateRoot


@pytest.fixture
def state(tmp_path):
    return StateRoot(tmp_path / "root")


@pytest.fixture(scope="session")
def three_once(tmp_path_factory):
    state = StateRoot(tmp_path_factory.mktemp("three") / "root")
    for model, elbo in (("a", -12.0), ("b", -11.0), ("c", -10.0)):
        state.run(model, elbo=elbo)
    return state


@pytest.fixture
def three(state, three_once):
    """A state directory with the versions a, b and c; c is served."""
    shutil.rmtree(state.root)
    shutil.copytree(three_once.root, state.root)
    return state


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
