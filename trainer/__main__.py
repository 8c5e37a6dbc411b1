"""Trains without TFX: `python -m trainer --train 'a/*' --test 'b/*' --output c`, on TFRecord files of Examples."""

import argparse
import contextlib
import dataclasses
import logging
import os
import sys

from trainer.errors import UserError, report
from trainer.failure import FILE
from trainer.interrupt import interruptible
from trainer.presets import PRESETS
from trainer.settings import Execution, TrainConfig, check_workers
from trainer.storage.folders import checked_folder
from trainer.storage.lock import BusyError, alone
from trainer.terminal import lasting_streams


def main(arguments: list[str] | None = None) -> int:
    """Trains, and returns the exit code: 0 done, 1 failed, 2 bad input, 128 + n stopped by signal n and resumable."""
    with lasting_streams():
        options = _parse(arguments)
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        logging.getLogger("trainer").setLevel(logging.INFO)
        output = ""
        try:
            config = PRESETS[options.preset]
            if options.epochs is not None:
                config = dataclasses.replace(config, epochs=options.epochs)
            execution = Execution(workers=options.workers, images_in_memory=options.images_in_memory)
            check_workers(execution, config)
            output = checked_folder("output", options.output)
            with interruptible():
                _train(config, execution, options.train, options.test, output)
        except Exception as error:
            ours = os.path.isdir(output) and not isinstance(error, BusyError)
            return report(error, os.path.join(output, FILE) if ours else None)
        return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("--train", required=True, metavar="FILES", help="pattern of gzipped TFRecord files of Examples")
    parser.add_argument("--test", required=True, metavar="FILES", help="the same for the test split")
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder of the model, history and TensorBoard scalars"
    )
    parser.add_argument("--preset", default="default", choices=list(PRESETS), help="recipe (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="overrides the recipe's")
    parser.add_argument(
        "--workers", type=int, default=Execution.workers, help="processes that train together (default: %(default)s)"
    )
    parser.add_argument(
        "--images-in-memory",
        type=int,
        default=Execution.images_in_memory,
        metavar="MIB",
        help="largest split that is decoded into memory, and not into a temporary file (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _train(config: TrainConfig, execution: Execution, train_files: str, test_files: str, output: str) -> None:
    from trainer.export import Servable, save
    from trainer.images import first_examples, load_images, pixel_model, preprocessing, shape_of
    from trainer.storage.atomic import discard, recover, storing
    from trainer.training.record import read_history
    from trainer.units import Units
    from trainer.warmup import IMAGES
    from trainer.workers.job import Job, run_job
    from trainer.workers.launch import launch_local

    shape = shape_of([train_files])
    transform = preprocessing(shape)
    in_memory = execution.images_in_memory
    train, test = (load_images([files], transform, shape, in_memory) for files in (train_files, test_files))
    job = Job(config, workdir=output, state=os.path.join(output, "checkpoints"), execution=execution)
    with contextlib.ExitStack() as stack:
        try:
            os.makedirs(output, exist_ok=True)
            stack.enter_context(alone(output, "training", "--output"))
        except OSError as error:
            what, remedy = f"the folder {output} cannot be written", "Choose another --output"
            raise UserError(what, value=output, remedy=remedy, cause=error) from error
        saved = os.path.join(output, "model")
        with storing("the model", saved):
            recover(saved)
        discard(os.path.join(output, FILE))  # of an earlier start
        model = run_job(job, train, test, launch_local)
        servable = Servable(model, pixel_model(train), config.eval_samples, transform, shape)
        examples = first_examples([test_files], IMAGES)
        save(servable, Units.of(config, shape), saved, examples, read_history(output))
        discard(job.state)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow logs errors only
    sys.exit(main())
