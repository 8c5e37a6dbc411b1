"""Arguments, help and completion of every command."""

import argparse
import pathlib
import re
import shlex
import subprocess

import pytest

from pipeline import cli
from trainer import exit_codes

DOCS = pathlib.Path(__file__).parents[3] / "docs"
COMMANDS = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)).choices


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command. See vaeiaf --help"),
        (["verifi"], f"command: expected one of {', '.join(COMMANDS)}, got 'verifi'. Did you mean verify?"),
        (["run", "--epoch=3"], "run has no option --epoch. Did you mean --epochs?"),
        (["run", "--xyzzy"], "run has no option --xyzzy. See vaeiaf run --help"),
        (["verify", "twice"], "verify has no argument twice. See vaeiaf verify --help"),
        (["run", "--epochs=ten"], "--epochs: expected a whole number, got 'ten'"),
        (["run", "--learning-rate=fast"], "--learning-rate: expected a number, got 'fast'"),
        (["run", "--set=epochs"], "argument --set: expected NAME=VALUE, got 'epochs'. See vaeiaf run --help"),
        (
            ["run", "--preset=resnets"],
            "--preset: expected one of seed, mlp, default, resnet, logistic, ladder_small, ladder, smoke, "
            "got 'resnets'. Did you mean resnet?",
        ),
        (["schema", "clustre"], "file: expected one of cluster, got 'clustre'. Did you mean cluster?"),
        (["run", "--root"], "argument --root: expected one argument. See vaeiaf run --help"),
    ],
)
def test_a_mistyped_argument_is_one_sentence_with_the_nearest_valid_one(capsys, arguments, message):
    assert cli.main(arguments) == exit_codes.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.err == f"vaeiaf: {message}\n"
    assert captured.out == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_ends_with_an_example_that_it_takes(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    program, *arguments = shlex.split(capsys.readouterr().out.splitlines()[-1].partition(">")[0])
    assert (program, arguments[0]) == ("vaeiaf", name)
    cli.parser().parse_args(arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_names_a_guide_that_has_it(name, capsys):
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    guide = capsys.readouterr().out.partition("\nguide:\n  ")[2].partition("\n")[0]
    assert re.search(rf"vaeiaf {name}\b|make {name}\b", pathlib.Path(DOCS.parent, guide).read_text())
    assert guide.removeprefix("docs/") in (DOCS / "index.md").read_text(), "it is found from the start"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["vaeiaf", "ver"], ["verify"]),
        (["vaeiaf", "verify", "--ro"], ["--root"]),
        (["vaeiaf", "run", "--preset", "s"], ["seed", "smoke"]),
        (["vaeiaf", "verify", "--root", "kept"], ["kept"]),  # the folder, not the file
    ],
)
def test_bash_completes_commands_options_and_values(line, expected, capsys, tmp_path):
    assert cli.main(["completion", "bash"]) == exit_codes.DONE
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept.txt").touch()
    ask = f"source ./script; COMP_WORDS=({shlex.join(line)}); COMP_CWORD={len(line) - 1}; _shtab_vaeiaf"
    command = ["bash", "-c", f'{ask}; echo "${{COMPREPLY[@]}}"']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


def test_zsh_gets_a_script_that_names_every_command(capsys):
    assert cli.main(["completion", "zsh"]) == exit_codes.DONE
    script = capsys.readouterr().out
    assert script.startswith("#compdef vaeiaf\n")
    assert [name for name in COMMANDS if f"\n    {name}:'" not in script] == []
