"""run_fn of the Trainer component: TFX's arguments in, a trained and exported model out."""

import logging
import os

import tensorflow_transform as tft
from tfx.components.trainer import fn_args_utils

from trainer.config import TrainConfig
from trainer.export import Servable, save
from trainer.images import load_images, pixel_model
from trainer.loop import train_and_evaluate
from trainer.units import Units

log = logging.getLogger(__name__)


def run_fn(fn_args: fn_args_utils.FnArgs) -> None:
    """Trains on the split train, with what a Tuner found and from a base model if there are, and exports the result."""
    found = fn_args.hyperparameters["values"] if fn_args.hyperparameters else {}
    config = TrainConfig.from_dict({**fn_args.custom_config["train"], **found})
    transform = tft.TFTransformOutput(fn_args.transform_output).transform_features_layer()
    train = load_images(fn_args.train_files, transform)
    test = load_images(fn_args.eval_files, transform)
    os.makedirs(fn_args.model_run_dir, exist_ok=True)
    if fn_args.custom_config["warm_start"] and not fn_args.base_model:
        log.info("no blessed model to start from yet: starting from random weights")
    result = train_and_evaluate(config, train, test, fn_args.model_run_dir, fn_args.base_model)
    servable = Servable(result.model, pixel_model(train), config.eval_samples, transform)
    save(servable, Units.of(config), fn_args.serving_model_dir)
