"""run_fn of the Trainer component: trains and exports a model from TFX's arguments."""

import logging
import os

import tensorflow_transform as tft
from tfx.components.trainer import fn_args_utils

from components.train import training_state
from components.train.code import code_of
from components.train.site import SITE, Site
from trainer.export import Servable, save
from trainer.images import first_examples, load_images, pixel_model, shape_of
from trainer.settings import TrainConfig
from trainer.storage.atomic import reading, storing
from trainer.storage.digests import below, identity, recorded_or_present
from trainer.storage.leftovers import clear
from trainer.training.record import read_history
from trainer.training.warm_start import fits
from trainer.units import Units
from trainer.warmup import IMAGES
from trainer.workers.job import Job, run_job

log = logging.getLogger(__name__)


def run_fn(fn_args: fn_args_utils.FnArgs) -> None:
    """Trains on the split train and exports the model; a Tuner's result and a base model are optional inputs.

    The training state stays until the model is recorded and `training_state.forget_training` removes it. Until then the
    same run resumes from it, and any run from a finished one.
    """
    custom, site = fn_args.custom_config, Site.from_dict(fn_args.custom_config[SITE])
    found = fn_args.hyperparameters["values"] if fn_args.hyperparameters else {}
    config = TrainConfig(**{**custom["train"], **found})
    transform = tft.TFTransformOutput(fn_args.transform_output).transform_features_layer()
    shape = shape_of(fn_args.train_files)
    in_memory = site.execution.images_in_memory
    train, test = (
        load_images(files, transform, shape, in_memory) for files in (fn_args.train_files, fn_args.eval_files)
    )
    os.makedirs(fn_args.model_run_dir, exist_ok=True)
    base_model = fn_args.base_model
    if site.warm_start and not base_model:
        log.info("no blessed model yet: starting from random weights")
    if base_model and site.may_start_cold and not fits(config, shape, base_model):
        log.info("the weights of the last blessed model do not fit the settings: starting from random weights")
        base_model = None
    name = _state_name(config, site, fn_args, base_model)
    job = Job(
        config,
        workdir=fn_args.model_run_dir,
        state=os.path.join(site.training, name),
        base_model=base_model,
        execution=site.execution,
    )
    model = run_job(job, train, test, site.launch(), site.apart)
    with storing("the state of the training", job.state):
        training_state.finish(job.state)
    servable = Servable(model, pixel_model(train), config.eval_samples, transform, shape)
    examples = first_examples(fn_args.eval_files, IMAGES)
    history = read_history(fn_args.model_run_dir) | {"base_model": base_model and _identity(base_model)}
    save(servable, Units.of(config, shape), fn_args.serving_model_dir, examples, history)
    with storing("the name of the training", fn_args.model_run_dir):
        training_state.leave_name(fn_args.model_run_dir, name)


def _identity(model: str) -> str:
    """Returns the digest of the SavedModel at the path `model`, by which its card names it."""
    with reading("the base model", model):
        return identity(below(recorded_or_present(os.path.dirname(model)), os.path.basename(model)))


def _state_name(config: TrainConfig, site: Site, fn_args: fn_args_utils.FnArgs, base_model: str | None) -> str:
    """Returns the name of this training's state; claims another run's finished state, and removes abandoned ones."""
    examples = {os.path.dirname(os.path.dirname(path)) for path in (*fn_args.train_files, *fn_args.eval_files)}
    base = [os.path.dirname(base_model)] if base_model else []
    recipe = [config.to_dict(), code_of("Trainer"), len(base)]
    with reading("an input of the training below", os.path.dirname(fn_args.transform_output)):
        key = training_state.key(recipe, [*examples, fn_args.transform_output, *base])
    name = site.run + key
    training_state.claim(site.training, name, key)
    clear(site.training, "", days=30, keep=name)
    return name
