import dataclasses
import re
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from pipeline import cli, local
from pipeline.failures import failure_of
from trainer import exit_codes
from trainer.errors import InterruptError, StorageError, UserError
from trainer.failure import Kind, left
from trainer.presets import PRESETS


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
    ("arguments", "setting", "value"),
    [
        (["--max-regression=-1"], "max_regression", -1.0),
        (["--batch-size=0"], "batch_size", 0),
        (["--learning-rate=7"], "learning_rate", 7.0),
        (["--eval-samples=0"], "eval_samples", 0),
        (["--set=gates=3"], "gates", "gates"),
        (["--set=latent_size=many"], "latent_size", "many"),
        (["--set=free_bits=-1"], "free_bits", -1),
        (["--tune=-1"], "tune", -1),
        (["--warm-start", "--tune=2"], "tune", 2),
        (["--min-label-elbo=nan"], "min_label_elbo", "nan"),
        (["--workers=0"], "workers", 0),
        (["--workers=3"], "batch_size", 64),
        (["--workers=2", "--strategy=default"], "strategy", "default"),
        (["--workers=2", "--set=free_bits=0.1"], "free_bits", 0.1),
        (["--strategy=multi_worker"], "workers", 1),
        (["--strategy=parallel"], "strategy", "parallel"),
        (["--strategy=tpu:"], "strategy", "tpu:"),
        (["--checkpoint-minutes=-1"], "checkpoint_minutes", -1.0),
        (["--checkpoint-minutes=nan"], "checkpoint_minutes", "nan"),
        (["--checkpoint-minutes=1e999"], "checkpoint_minutes", "inf"),
        (["--checkpoint-percent=101"], "checkpoint_percent", 101.0),
        (["--set=learning_rate=Infinity"], "learning_rate", "inf"),
        (["--tune=2", "--workers=2"], "workers", 2),
        (["--tune=2", "--strategy=tpu"], "strategy", "tpu"),
        (["--data-dir=/no/such/folder"], "data_dir", "/no/such/folder"),
        (["--no-baseline", "--max-regression=2"], "max_regression", 2.0),
        (["--preset=mlp", "--set=channels=96"], "channels", 96),
        (["--set=iaf_steps=0", "--set=iaf_layers=2"], "iaf_layers", 2),
        (["--set=iaf_location_only=true", "--set=gate_bias=1.0"], "gate_bias", 1.0),
        (["--preset=seed", "--set=warmup_epochs=0"], "warmup_epochs", 0),
    ],
)
def test_a_bad_value_is_one_sentence_and_exit_code_2(capsys, tmp_path, arguments, setting, value):
    root = tmp_path / "root"
    assert run(*arguments, "--root", str(root)) == exit_codes.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vaeiaf: {setting}: expected ")
    assert re.search(rf", got '?{re.escape(str(value))}(\.0)?'?(\.|$)", line)
    assert not root.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs=0"], "epochs: expected greater than or equal to 1, got 0"),
        (
            ["--strategy=x"],
            "strategy: expected one of auto, default, mirrored, multi_worker, tpu, or tpu:NAME, got 'x'",
        ),
        (["--workers=3"], "batch_size: expected a multiple of the 3 replicas, such as 63 or 66, got 64"),
        (
            ["--no-baseline", "--max-regression=2"],
            "max_regression: expected not to be given without a baseline, got 2.0. Remove it",
        ),
    ],
)
def test_the_wording_of_a_bad_value(capsys, arguments, message):
    assert run(*arguments) == exit_codes.BAD_INPUT
    assert capsys.readouterr().err == f"vaeiaf: {message}\n"


def test_a_mistyped_setting_gets_the_nearest_name(capsys):
    assert run("--set=iaf_step=3") == exit_codes.BAD_INPUT
    assert capsys.readouterr().err.endswith(", got 'iaf_step'. Did you mean iaf_steps?\n")


@pytest.mark.parametrize("option", ["--root", "--data-dir", "--manual-dir"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "the name of a folder, got ''"),
        (" ", "the name of a folder, got ' '"),
        ("st*r", "a folder without * ? [ \\ in its name, which make it a pattern, got 'st*r'"),
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
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(option, name) == exit_codes.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vaeiaf: {option[2:].replace('-', '_')}: expected {expected}")
    assert list(tmp_path.iterdir()) == [tmp_path / "elsewhere"]
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_working_directory_that_cannot_be_used_is_named(capsys, tmp_path, monkeypatch):
    (tmp_path / "br[1]").mkdir()
    monkeypatch.chdir(tmp_path / "br[1]")
    assert run() == exit_codes.BAD_INPUT
    assert f"got '{tmp_path}/br[1]/vaeiaf'" in capsys.readouterr().err
    assert not list((tmp_path / "br[1]").iterdir())


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (
            UserError("the data are wrong", remedy="Mend them"),
            exit_codes.BAD_INPUT,
            "vaeiaf: the data are wrong. Mend them\n",
        ),
        (OSError("{{function_node x}} read-only [Op:SaveV2]"), exit_codes.FAILED, "vaeiaf: OSError: read-only\n"),
        (
            caused(LookupError(), OSError("/models is a file")),
            exit_codes.FAILED,
            "vaeiaf: OSError: /models is a file\n",
        ),
        (caused(RuntimeError("in user code"), InterruptError(signal.SIGINT)), 130, "vaeiaf: interrupted by SIGINT"),
        (InterruptError(signal.SIGTERM), 143, "vaeiaf: interrupted by SIGTERM. The next run resumes"),
    ],
)
def test_a_failure_is_one_sentence_with_the_path_of_the_log(capfd, tmp_path, monkeypatch, error, code, expected):
    def fail(config, run_id, story):
        raise error

    monkeypatch.setattr(local, "run", fail)
    assert run("--root", str(tmp_path)) == code
    captured = capfd.readouterr()
    assert expected in captured.out
    assert "Traceback" not in captured.out + captured.err
    (log,) = (tmp_path / "logs").glob("*.log")
    assert str(log) in captured.out
    assert left(str(log.with_suffix(".error.json"))) == failure_of(error, str(tmp_path))


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
    failure = failure_of(error, str(tmp_path))
    assert failure.kind == Kind.INFRASTRUCTURE
    assert failure.sentence.startswith(f"no space is left on the disk of {tmp_path}, or of the temporary files in ")
    assert failure.remedy == "Free some, and the next run resumes after the last finished component or checkpoint"


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
    failure = failure_of(error, "/root")
    assert failure.kind == Kind.INFRASTRUCTURE
    assert failure.value == path
    assert failure.cause in str(error)


def test_an_interrupt_comes_before_what_failed_on_its_account():
    error = caused(StorageError("the model", "/root", OSError(5, "gone")), InterruptError(signal.SIGTERM))
    assert failure_of(error, "/root").exit_code == 143


def test_the_preset_is_the_default_and_an_option_overrides_it(tmp_path, monkeypatch):
    configs = []

    def remember(config, run_id, story):
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
    assert (first.dataset, first.train) == ("cifar10", PRESETS["default"])
    assert (second.dataset, second.min_elbo) == ("photo_patches", -1900.0)
    assert (second.train.epochs, second.train.batch_size) == (2, PRESETS["seed"].batch_size)
