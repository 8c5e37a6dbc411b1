"""The command line, `vaeiaf`. Imports TensorFlow and TFX only when there is work to do."""

import argparse
import json
import os
import shlex
import sys
import time
import traceback
from typing import Any

from pipeline.console import Story, console
from pipeline.failures import failure_of
from pipeline.settings import PipelineConfig
from pipeline.state.root import open_root
from pipeline.words import FAILED, PUSHED, REFUSED, describe
from trainer.errors import ReportedError, UserError
from trainer.failure import FILE, leave
from trainer.interrupt import interruptible
from trainer.presets import PRESETS
from trainer.settings import STRATEGIES, TrainConfig
from trainer.storage.folders import checked_folder
from trainer.terminal import lasting_streams

ON_KUBEFLOW = ("compile", "submit", "schedule")  # commands of our package kubeflow


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 pushed or unchanged, 1 failed, 2 bad input, 3 refused.

    It is 128 + n if signal n ended the command. In another thread than the main one signals are left to the caller.
    """
    with lasting_streams():
        options = _parser().parse_args(arguments)
        try:
            return options.command(options)
        except ReportedError as error:
            print(f"vaeiaf: {error}", file=sys.stderr)
            return error.exit_code


def _run_here(options: argparse.Namespace) -> int:
    config = _config(options)
    with interruptible(), open_root(config) as log_file, console(log_file) as story:
        return _run(config, log_file, story)


def _verify(options: argparse.Namespace) -> int:
    from pipeline.state.verify import verify

    started = time.monotonic()
    found = verify(checked_folder("root", options.root))
    for what in found.damage:
        print(f"DAMAGED: {what}")
    if not found.has_metadata:
        print("There is no metadata.sqlite here: artifacts that are gone together with their digests are not missed.")
    seconds = time.monotonic() - started
    result = f"{len(found.damage)} damaged; the next run makes anew what it would use" if found.damage else "no damage"
    print(f"{found.folders} folders verified, {found.size / 1e6:,.0f} MB in {seconds:.1f} s: {result}.")
    return FAILED if found.damage else PUSHED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vaeiaf", description="Retrains a VAE/IAF and pushes it if its test-set ELBO allows."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser(
        "run",
        help="run the pipeline on this machine",
        description="Ingests, validates, transforms, trains, evaluates and pushes, on this machine. "
        "What has not changed since the last run is taken from it.",
        epilog="Exit codes: 0 pushed or unchanged, 1 failed, 2 bad input, 3 refused by the gate, "
        "129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM.",
        allow_abbrev=False,
    )
    data = run.add_argument_group("data")
    data.add_argument(
        "--dataset",
        default="cifar10",
        help="photo_patches (embedded), cifar10, or another TFDS name (default: %(default)s)",
    )
    data.add_argument(
        "--data-dir", metavar="DIR", help="prepared TFDS data sets (default: TFDS_DATA_DIR, ~/tensorflow_datasets)"
    )
    data.add_argument(
        "--manual-dir", metavar="DIR", help="folder with the data set's archive, where there is no network"
    )
    data.add_argument(
        "--allow-shared-images",
        action="store_true",
        help="accept test images that are also training images, pixel by pixel; the report says how many",
    )
    training = run.add_argument_group("training; what is not given comes from the preset")
    training.add_argument("--preset", default="default", choices=list(PRESETS), help="recipe (default: %(default)s)")
    for name, kind, text in (
        ("epochs", int, "passes over the training images"),
        ("batch_size", int, "images per step"),
        ("learning_rate", float, "of Adam, at its highest"),
        ("seed", int, "of weights, order and noise"),
        ("eval_samples", int, "draws of z per image behind the ELBO that decides"),
    ):
        training.add_argument(
            f"--{name.replace('_', '-')}", type=kind, metavar="N", default=argparse.SUPPRESS, help=text
        )
    training.add_argument(
        "--set",
        dest="settings",
        type=_setting,
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any other setting of trainer/settings.py, as in --set iaf_steps=0",
    )
    training.add_argument(
        "--tune",
        type=int,
        metavar="N",
        default=0,
        help="first try the recipe and N - 1 variants, for a quarter of its epochs each, and train the best; "
        "in one process, so not with several --workers, multi_worker or tpu",
    )
    training.add_argument(
        "--warm-start",
        action="store_true",
        help="start from the weights of the last blessed model, if there is one, not from random ones; not with --tune",
    )
    machines = run.add_argument_group("machines")
    machines.add_argument(
        "--workers",
        type=int,
        metavar="N",
        default=1,
        help="processes on this machine that train together (default: %(default)s, the pipeline's own)",
    )
    machines.add_argument(
        "--strategy",
        default="auto",
        help=f"{', '.join(STRATEGIES)}, or tpu:NAME: what shares a training step (default: %(default)s)",
    )
    machines.add_argument(
        "--checkpoint-minutes",
        type=float,
        metavar="MINUTES",
        default=5.0,
        help="between checkpoints, from which a training that was stopped or killed goes on (default: %(default)s)",
    )
    gate = run.add_argument_group("gate")
    gate.add_argument(
        "--min-elbo",
        type=float,
        metavar="NATS",
        help="lower bound of the test-set ELBO per image (default: that of independent pixels)",
    )
    gate.add_argument(
        "--max-regression",
        type=float,
        metavar="NATS",
        default=1.0,
        help="how much worse than the last blessed model it may be, with 95 %% confidence (default: %(default)s)",
    )
    gate.add_argument(
        "--no-baseline",
        action="store_true",
        help="compare with no earlier model, where the one that is served cannot be read; the verdict says so",
    )
    gate.add_argument(
        "--min-label-elbo",
        type=float,
        metavar="NATS",
        help="lower bound of the ELBO on the images of each label (default: none)",
    )
    place = run.add_argument_group("place")
    place.add_argument(
        "--root",
        metavar="DIR",
        default="vaeiaf",
        help="folder of everything that runs leave behind (default: %(default)s)",
    )
    place.add_argument(
        "--beam-arg",
        dest="beam_args",
        metavar="ARG",
        action="append",
        default=[],
        help="passed to Beam, as in --beam-arg=--runner=FlinkRunner",
    )
    run.set_defaults(command=_run_here)
    check = commands.add_parser(
        "verify",
        help="check every stored file of a state directory",
        description="Reads every artifact, pushed model and checkpoint, and compares it with the digests that were "
        "written when it was complete. Changes nothing.",
        epilog="Exit codes: 0 no damage, 1 damage, 2 no state directory.",
        allow_abbrev=False,
    )
    check.add_argument("--root", metavar="DIR", default="vaeiaf", help="state directory (default: %(default)s)")
    check.set_defaults(command=_verify)
    _add_kubeflow(commands)
    return parser


def _add_kubeflow(commands: Any) -> None:
    """Adds the commands of our `kubeflow`, which say so if another distribution's package of that name hides it."""
    try:
        from pipeline.cli.kubeflow_commands import add_commands
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "kubeflow":
            raise
        for name in ON_KUBEFLOW:
            hidden = commands.add_parser(name, help="not available here: says why", add_help=False, prefix_chars="\0")
            hidden.add_argument("arguments", nargs="*")  # all of them, options too
            hidden.set_defaults(command=_say_hidden)
    else:
        add_commands(commands)


def _say_hidden(_: argparse.Namespace) -> int:
    import kubeflow

    raise UserError(
        f"this command needs vaeiaf's package kubeflow, and Python finds another one, {next(iter(kubeflow.__path__))}, "
        "such as the Kubeflow SDK's: uninstall that (pip uninstall kubeflow), or install vaeiaf in another environment"
    )


def _setting(text: str) -> tuple[str, Any]:
    """A name and its value, a JSON number or boolean or else a string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _config(options: argparse.Namespace) -> PipelineConfig:
    preset = PRESETS[options.preset].to_dict()
    given = {name: value for name, value in vars(options).items() if name in preset}
    return PipelineConfig(
        dataset=options.dataset,
        train=TrainConfig.from_dict({**preset, **dict(options.settings), **given}),
        root=options.root,
        data_dir=options.data_dir,
        manual_dir=options.manual_dir,
        allow_shared_images=options.allow_shared_images,
        min_elbo=options.min_elbo,
        max_regression=options.max_regression,
        min_label_elbo=options.min_label_elbo,
        no_baseline=options.no_baseline,
        tune=options.tune,
        warm_start=options.warm_start,
        strategy=options.strategy,
        workers=options.workers,
        checkpoint_minutes=options.checkpoint_minutes,
        beam_args=tuple(options.beam_args),
    )


def _run(config: PipelineConfig, log_file: str, story: Story) -> int:
    try:
        from pipeline import local

        outcome = local.run(config, story)
    except Exception as error:
        traceback.print_exc()  # to the log file
        failure = failure_of(error, config.root)
        leave(failure, f"{log_file.removesuffix('.log')}.{FILE}")
        story.say(f"\nvaeiaf: {failure}\nLog: {log_file}")
        return failure.exit_code
    story.say(f"\n{describe(outcome)}")
    if outcome.push.pushed_to:
        volume = shlex.quote(f"{os.path.dirname(outcome.push.pushed_to)}:/models/vaeiaf")
        story.say(f"Serve:  docker run -p 8501:8501 -e MODEL_NAME=vaeiaf -v {volume} tensorflow/serving")
    return PUSHED if outcome.verdict.blessed else REFUSED
