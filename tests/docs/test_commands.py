"""Every command in the documents is run, or is marked with what it needs and is parsed by the program that it calls."""

import argparse
import importlib
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from documents import FILES, MARK, REPOSITORY, blocks, commands, inline_code, prose

from kubeflow.spec.file import load_cluster
from pipeline.cli import parser
from pipeline.cli._kubeflow import run_parameters
from pipeline.cli._options import config_of
from state_root import StateRoot

BLOCKS = [block for path in FILES for block in blocks(path)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
LANGUAGES = {"sh", "text", "yaml", "python"}
OURS = {"vaeiaf", ".venv/bin/vaeiaf"}
OTHERS = {"$EDITOR", ".", "apt-get", "cp", "curl", "docker", "echo", "export", "go", "kubectl", "prism", "tail"}
CLUSTER = load_cluster(str(REPOSITORY / "kubeflow" / "spec" / "cluster.yaml"))
TOP = ("components", "docs", "kubeflow", "pipeline", "scripts", "tests", "trainer")
# Options of TFX's, Beam's and Kubernetes' programs, and those that a reader is told not to look for.
FOREIGN = {
    "--runner",
    "--job_endpoint",
    "--environment_type",
    "--environment_config",
    "--flink_master",
    "--flink_submit_uber_jar",
    "--parallelism",
    "--sdk_container_image",
    "--model_base_path",
    "--field-selector",
    "--option",
}


class ParsedError(Exception):
    """Ends a program once it has parsed its arguments."""


def parsed(monkeypatch, main, arguments):
    """The options that a program's own parser makes of `arguments`."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(self, *given, **keywords):
        raise ParsedError(original(self, *given, **keywords))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(ParsedError) as caught:
        main()
    monkeypatch.undo()
    return caught.value.args[0]


def check(words, monkeypatch):
    """Fails if a program would refuse its arguments."""
    program, arguments = words[0], words[1:]
    if program.endswith("python") or program == "python":
        assert arguments[0] == "-m", words
        check_module(arguments[1], arguments[2:], monkeypatch)
    elif program in OURS:
        check_ours(arguments, monkeypatch)
    elif program == "make":
        check_make(arguments, monkeypatch)
    elif program.startswith(".venv/bin/"):
        assert (pathlib.Path(sys.executable).parent / pathlib.Path(program).name).exists(), program
    else:
        assert program in OTHERS, f"{program}: nothing here knows how to check it"
    for word in words:
        if word.split("/")[0] in TOP and "/" in word and "/ours" not in word:
            assert (REPOSITORY / word).exists(), word


def check_module(module, arguments, monkeypatch):
    if module == "pipeline":
        check_ours(arguments, monkeypatch)
    elif module == "trainer" or module.startswith("tests."):
        parsed(monkeypatch, importlib.import_module(f"{module}.__main__").main, arguments)
    else:
        assert importlib.util.find_spec(module), module


def check_ours(arguments, monkeypatch):
    if arguments[-1] == "--help":
        return
    options = parsed(monkeypatch, lambda: parser().parse_args(arguments), arguments)
    monkeypatch.setattr(os.path, "isdir", lambda _: True)  # folders of the examples
    if arguments[0] == "run":
        config_of(options)
    elif hasattr(options, "params"):
        run_parameters(options.params, CLUSTER)
    monkeypatch.undo()


def check_make(arguments, monkeypatch):
    done = subprocess.run(["make", "--dry-run", *arguments], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        if re.match(r"\.venv/bin/python -m (pipeline|trainer|tests)", line):
            (words,) = commands(line)
            check(words, monkeypatch)


@pytest.fixture
def sandbox(tmp_path):
    """A folder like a checkout that is set up and has run once."""
    for path in REPOSITORY.iterdir():
        if path.name not in (".git", ".venv", "vaeiaf", "cluster.yaml", "site"):
            (tmp_path / path.name).symlink_to(path)
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("vaeiaf", "python"):
        module = "-m pipeline " if name == "vaeiaf" else ""
        (tools / name).write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} {module}"$@"\n')
        (tools / name).chmod(0o755)
    state = StateRoot(tmp_path / "vaeiaf", "vaeiaf-photo-patches")
    for model in ("first", "second"):
        state.run(model)
    return tmp_path


def test_every_block_says_what_it_is():
    assert [block.where for block in BLOCKS if block.language not in LANGUAGES] == []


def test_every_command_is_run_or_says_what_it_needs():
    assert [block.where for block in SHELL if not block.mark] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_mark_is_one_above_a_block(path):
    marked = sum(bool(block.mark) for block in blocks(path))
    assert marked == len(re.findall(r"<!--.*?-->", path.read_text()))
    assert marked == len(MARK.findall(path.read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_command_hides_in_an_indented_block(path):
    assert re.findall(r"^ {4,}(?:\.venv|make|vaeiaf|docker|kubectl) .*", prose(path), re.MULTILINE) == []


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.where)
def test_a_command_takes_its_arguments(block, monkeypatch):
    found = list(commands(block.text))
    assert found
    for words in found:
        check(words, monkeypatch)


@pytest.mark.parametrize(
    "text",
    [
        "vaeiaf run --no-such-option",
        "vaeiaf run --set no_such_setting=1",
        "vaeiaf submit --cluster cluster.yaml --param no_such_parameter=1",
        "make no-such-target",
        'make chaos CHAOS="--only nothing"',
        "python -m trainer --preset seed",
        "cp kubeflow/no-such-file.yaml x",
        "no-such-program",
    ],
)
def test_a_wrong_command_is_found(text, monkeypatch):
    (words,) = commands(text)
    with pytest.raises((SystemExit, Exception)):  # an AssertionError of ours, a SettingError, argparse's exit
        check(words, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in SHELL if block.mark == "run"], ids=lambda block: block.where)
def test_a_command_that_needs_nothing_runs(block, sandbox):
    done = subprocess.run(
        [shutil.which("bash"), "-euo", "pipefail", "-c", block.text], cwd=sandbox, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def options_of(module, monkeypatch):
    """The options of a program that `python -m MODULE` runs."""
    found = set()

    def parse_args(self, *_, **__):
        found.update(self._option_string_actions)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    with pytest.raises(ParsedError):
        importlib.import_module(f"{module}.__main__").main()
    monkeypatch.undo()
    return found


def test_every_option_that_is_mentioned_exists(monkeypatch):
    (of_commands,) = [action.choices for action in parser()._actions if isinstance(action.choices, dict)]
    known = {option for command in of_commands.values() for option in command._option_string_actions} | FOREIGN
    for module in ("trainer", "tests.chaos", "tests.bench"):
        known |= options_of(module, monkeypatch)
    mentioned = {
        option for path in FILES for code in inline_code(path) for option in re.findall(r"(?<!\S)--[a-z][\w-]*", code)
    }
    assert "--min-elbo" in mentioned
    assert mentioned - known == set()


def test_every_target_of_make_that_is_mentioned_exists():
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    mentioned = {
        target
        for path in FILES
        for code in inline_code(path)
        for target in re.findall(r"^(?:time )?make ([a-z-]+)", code)
    }
    assert "run" in mentioned
    assert mentioned - targets == set()


def test_every_path_and_module_that_is_mentioned_exists():
    codes = {code for path in FILES for code in inline_code(path)}
    paths = {code for code in codes if re.fullmatch(rf"({'|'.join(TOP)})/[\w./-]+", code)}
    modules = {module for code in codes for module in re.findall(r"^python -m ([\w.]+)", code)}
    assert "trainer/model/flows.py" in paths
    assert {path for path in paths if not (REPOSITORY / path).exists()} == set()
    assert "trainer.workers.worker" in modules
    assert {module for module in modules if not importlib.util.find_spec(module)} == set()
