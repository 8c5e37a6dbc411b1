"""The messages that the documents quote are in the code."""

import ast
import re

import pytest
from documents import REPOSITORY

ROOMS = ("components", "kubeflow", "pipeline", "trainer")
OTHERS = ("exit status", "exit code", "serviceaccount", "cannot ...")  # Kubeflow's launcher and Kubernetes say these
PAGE = (REPOSITORY / "docs" / "howto" / "failed-runs.md").read_text()


def quoted():
    """What the first column of the table of symptoms quotes."""
    firsts = re.findall(r"^\| (.*?) \| ", PAGE.split("## What is tried again")[0], re.MULTILINE)
    codes = [code for first in firsts for code in re.findall(r"`([^`]+ [^`]+)`", first)]
    return [code for code in codes if not code.startswith(OTHERS)]


@pytest.fixture(scope="module")
def texts():
    """Every piece of text in the code: strings, and what stands between the values of f-strings."""
    trees = [ast.parse(path.read_text()) for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [node.value for node in nodes if isinstance(node.value, str)]


def test_there_are_quotations():
    assert len(quoted()) >= 5


@pytest.mark.parametrize("message", quoted())
def test_a_quoted_message_is_in_the_code(message, texts):
    parts = [part.strip() for part in message.split("...") if part.strip()]
    assert [part for part in parts if not any(part in text for text in texts)] == []
