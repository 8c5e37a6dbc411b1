"""run_fn of the Trainer component: TFX's arguments in, a trained and exported model out."""

import hashlib
import json
import logging
import os

import tensorflow_transform as tft
from tfx.components.trainer import fn_args_utils

from components.leftovers import clear
from components.site import here
from trainer.config import TrainConfig
from trainer.export import Servable, save
from trainer.images import load_images, pixel_model
from trainer.job import Job, run_job
from trainer.storage import remove
from trainer.units import Units

log = logging.getLogger(__name__)


def run_fn(fn_args: fn_args_utils.FnArgs) -> None:
    """Trains on the split train, with what a Tuner found and from a base model if there are, and exports the result.

    A run that was stopped or killed left its state under a name that only the same run finds again.
    """
    custom = fn_args.custom_config
    found = fn_args.hyperparameters["values"] if fn_args.hyperparameters else {}
    config = TrainConfig.from_dict({**custom["train"], **found})
    transform = tft.TFTransformOutput(fn_args.transform_output).transform_features_layer()
    train = load_images(fn_args.train_files, transform)
    test = load_images(fn_args.eval_files, transform)
    os.makedirs(fn_args.model_run_dir, exist_ok=True)
    if custom["warm_start"] and not fn_args.base_model:
        log.info("no blessed model to start from yet: starting from random weights")
    inputs = [config.to_dict(), custom["code"], fn_args.train_files, fn_args.transform_output, fn_args.base_model]
    name = here.run + hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
    clear(custom["state"], "", days=30, but=name)
    job = Job(
        config,
        workdir=fn_args.model_run_dir,
        state=os.path.join(custom["state"], name),
        base_model=fn_args.base_model,
        strategy=custom["strategy"],
        checkpoint_minutes=here.checkpoint_minutes,
    )
    model = run_job(job, train, test, custom["workers"], here.launch, here.apart)
    servable = Servable(model, pixel_model(train), config.eval_samples, transform)
    save(servable, Units.of(config), fn_args.serving_model_dir)
    remove(job.state)
