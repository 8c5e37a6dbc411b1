import dataclasses
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from pipeline import cli, local, words
from trainer.errors import InterruptError, StorageError, UserError


def run(*arguments):
    return cli.main(["run", *arguments])


@pytest.mark.parametrize("module", ["pipeline.cli", "trainer.__main__"])
def test_help_and_bad_arguments_import_nothing_heavy(module):
    program = (
        f"import sys, {module}; print([n for n in ('tensorflow', 'tfx', 'apache_beam', 'numpy') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_help_lists_every_exit_code(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--help")
    assert stop.value.code == 0
    assert "0 pushed or unchanged, 1 failed, 2 bad input, 3 refused" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--max-regression=-1"], "max_regression: expected a number of nats per image that is not negative, got -1.0"),
        (["--batch-size=0"], "batch_size: expected at least 1, got 0"),
        (["--learning-rate=7"], "learning_rate: expected a number between 0 and 1, got 7.0"),
        (["--eval-samples=0"], "eval_samples: expected at least 1, got 0"),
        (["--set=gates=3"], "setting: expected one of "),
        (["--set=latent_size=many"], "latent_size: expected a value of type int, got 'many'"),
        (["--set=free_bits=-1"], "free_bits: expected at least 0, got -1"),
        (["--tune=-1"], "tune: expected a number of trials that is not negative, got -1"),
        (["--warm-start", "--tune=2"], "tune: expected 0 with warm_start"),
        (["--min-label-elbo=nan"], "min_label_elbo: expected a finite number, got nan"),
        (["--workers=0"], "workers: expected at least 1, got 0"),
        (["--workers=3"], "batch_size: expected a multiple of the 3 replicas, such as 126 or 129, got 128"),
        (
            ["--workers=2", "--strategy=default"],
            "strategy: expected auto or multi_worker with 2 workers, got 'default'",
        ),
        (
            ["--workers=2", "--set=free_bits=0.1"],
            "free_bits: expected 0 with 2 workers, none of which knows the KL of the batch (--workers 1 --strategy ",
        ),
        (["--strategy=multi_worker"], "workers: expected several with strategy multi_worker: use --workers N, got 1"),
        (["--strategy=parallel"], "strategy: expected one of auto, default, mirrored, multi_worker, tpu, or tpu:NAME"),
        (["--strategy=tpu:"], "strategy: expected one of "),
        (
            ["--checkpoint-minutes=-1"],
            "checkpoint_minutes: expected a number of minutes that is not negative, got -1.0",
        ),
        (["--checkpoint-minutes=nan"], "checkpoint_minutes: expected a finite number, got nan"),
        (["--checkpoint-minutes=Infinity"], "checkpoint_minutes: expected a finite number, got inf"),
        (["--checkpoint-minutes=1e999"], "checkpoint_minutes: expected a finite number, got inf"),
        (["--set=learning_rate=Infinity"], "learning_rate: expected a finite number, got inf"),
        (["--tune=2", "--workers=2"], "workers: expected 1 with tune 2, whose trials run in one process, got 2"),
        (["--tune=2", "--strategy=tpu"], "strategy: expected one of auto, default, mirrored with tune 2"),
        (["--data-dir=/no/such/folder"], "data_dir: expected a folder that exists, got '/no/such/folder'"),
    ],
)
def test_a_bad_value_is_one_sentence_and_exit_code_2(capsys, tmp_path, arguments, expected):
    root = tmp_path / "root"
    assert run(*arguments, "--root", str(root)) == words.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vaeiaf: {expected}")
    assert not root.exists()


@pytest.mark.parametrize("option", ["--root", "--data-dir", "--manual-dir"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "the name of a folder, got ''"),
        (" ", "the name of a folder, got ' '"),
        ("st*r", "a folder without * ? [ \\ in its name, which are taken for a pattern, got 'st*r'"),
        ("what?", "a folder without * ? [ \\ in its name"),
        ("br[1]", "a folder without * ? [ \\ in its name"),
        ("back\\slash", "a folder without * ? [ \\ in its name"),
        ("new\nline", "a folder without control characters in its name, got 'new\\nline'"),
        ("\udcff", "a folder whose name is valid UTF-8, got '\\udcff'"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_made(
    option, name, expected, capsys, tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run(option, name) == words.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vaeiaf: {option[2:].replace('-', '_')}: expected {expected}")
    assert list(tmp_path.iterdir()) == [tmp_path / "here"]
    assert not list((tmp_path / "here").iterdir())


def test_a_working_directory_that_cannot_be_used_is_named(capsys, tmp_path, monkeypatch):
    (tmp_path / "br[1]").mkdir()
    monkeypatch.chdir(tmp_path / "br[1]")
    assert run() == words.BAD_INPUT
    assert f"got '{tmp_path}/br[1]/vaeiaf'" in capsys.readouterr().err
    assert not list((tmp_path / "br[1]").iterdir())


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (UserError("the data are wrong"), words.BAD_INPUT, "vaeiaf: the data are wrong\n"),
        (RuntimeError("trainer.errors.UserError: bad [while running 'x']"), words.BAD_INPUT, "vaeiaf: bad\n"),
        (OSError("{{function_node x}} read-only [Op:SaveV2]"), words.FAILED, "vaeiaf: OSError: read-only\n"),
        (caused(LookupError(), OSError("/models is a file")), words.FAILED, "vaeiaf: OSError: /models is a file\n"),
        (caused(RuntimeError("in user code"), InterruptError(signal.SIGINT)), 130, "vaeiaf: interrupted by SIGINT"),
        (InterruptError(signal.SIGTERM), 143, "vaeiaf: interrupted by SIGTERM; the next run goes on"),
    ],
)
def test_a_failure_is_one_sentence_with_the_path_of_the_log(capfd, tmp_path, monkeypatch, error, code, expected):
    def fail(config, story):
        raise error

    monkeypatch.setattr(local, "run", fail)
    assert run("--root", str(tmp_path)) == code
    captured = capfd.readouterr()
    assert expected in captured.out
    assert "Traceback" not in captured.out + captured.err
    (log,) = (tmp_path / "logs").iterdir()
    assert str(log) in captured.out


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "{{node x}} /root/state; No space left on device [Op:SaveV2]"),
        RuntimeError("OSError: [Errno 28] No space left on device: '/root/x' [while running 'WriteSplit']"),
        RuntimeError('Cannot create node type_id: 11 name: "x"Error when executing query: database or disk is full'),
        StorageError("the checkpoint", "/root/step", OSError(122, "Disk quota exceeded")),
        caused(UserError("images cannot be read"), caused(LookupError(), OSError(28, "No space left on device"))),
    ],
    ids=["Python", "TensorFlow", "Beam", "SQLite", "StorageError", "cause"],
)
def test_a_full_disk_is_one_sentence_whoever_noticed_it(error, tmp_path):
    sentence, code = words.explain(error, str(tmp_path))
    assert sentence.startswith(f"no space is left on the disk of {tmp_path}, or of the temporary files in ")
    assert sentence.endswith("free some, and the next run goes on after the last finished component or checkpoint")
    assert code == words.FAILED


@pytest.mark.parametrize(
    ("error", "path"),
    [
        (OSError(30, "Read-only file system", "/root/pushed/7"), "/root/pushed/7"),
        (tf.errors.PermissionDeniedError(None, None, "/root/artifacts/x; Permission denied"), "a file below /root"),
        (RuntimeError("OSError: [Errno 5] Input/output error [while running 'WriteSplit']"), "a file below /root"),
    ],
    ids=["Python", "TensorFlow", "Beam"],
)
def test_a_disk_that_withholds_its_files_is_one_sentence(error, path):
    sentence, code = words.explain(error, "/root")
    assert sentence.startswith(f"{path} cannot be read or written: ")
    assert sentence.endswith("and start again: finished work is kept")
    assert code == words.FAILED


def test_an_interrupt_comes_before_what_failed_on_its_account():
    error = caused(StorageError("the model", "/root", OSError(5, "gone")), InterruptError(signal.SIGTERM))
    assert words.explain(error, "/root")[1] == 143


def test_the_preset_is_the_default_and_an_option_overrides_it(tmp_path, monkeypatch):
    configs = []

    def remember(config, story):
        configs.append(config)
        raise UserError("enough")

    monkeypatch.setattr(local, "run", remember)
    run("--root", str(tmp_path))
    run("--root", str(tmp_path), "--preset=seed", "--epochs=2", "--dataset=photo_patches", "--min-elbo=-1900")
    run("--root", str(tmp_path), "--set=iaf_steps=0", "--set=horizontal_flips=true", "--set=decoder=GaussianMLP")
    run("--root", str(tmp_path), "--warm-start")
    first, second, third, fourth = configs
    assert fourth == dataclasses.replace(first, warm_start=True)
    assert (third.train.iaf_steps, third.train.horizontal_flips, third.train.decoder) == (0, True, "GaussianMLP")
    assert (first.dataset, first.train) == ("cifar10", cli.PRESETS["default"])
    assert (second.dataset, second.min_elbo) == ("photo_patches", -1900.0)
    assert (second.train.epochs, second.train.batch_size) == (2, cli.PRESETS["seed"].batch_size)
