"""tuner_fn of the Tuner component: random search around the recipe, scored on held-out training images."""

import dataclasses
import logging
import math
import os

import keras_tuner
import tensorflow as tf
import tensorflow_transform as tft
from keras_tuner.src.engine.trial import Trial, TrialStatus
from tfx.components.trainer import fn_args_utils
from tfx.components.tuner.component import TunerFnResult

from components.train.site import SITE, Site
from trainer.errors import UserError
from trainer.images import ImageSet, hold_out, load_images, shape_of
from trainer.model.resnet import smallest_map
from trainer.schema import SettingError
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.storage.atomic import discard
from trainer.strategy import build_strategy
from trainer.training.loop import train_and_evaluate

log = logging.getLogger(__name__)

VALIDATION_FRACTION = 0.1  # of the training split
EPOCHS_DIVISOR = 4  # the recipe's epochs over those of a trial


def tuner_fn(fn_args: fn_args_utils.FnArgs) -> TunerFnResult:
    """Returns a search of `trials` trials around `train`, both from custom_config. It never sees the test split.

    Raises:
      UserError: the site's strategy lacks what it needs.
    """
    recipe = TrainConfig(**fn_args.custom_config["train"])
    transform = tft.TFTransformOutput(fn_args.transform_graph_path).transform_features_layer()
    execution = Site.from_dict(fn_args.custom_config[SITE]).execution
    shape = shape_of(fn_args.train_files)
    images = load_images(fn_args.train_files, transform, shape, execution.images_in_memory)
    train, validation = map(images.take, hold_out(len(images), VALIDATION_FRACTION, recipe.seed))
    oracle = RecipeFirst(
        objective=keras_tuner.Objective("elbo", "max"),
        max_trials=fn_args.custom_config["trials"],
        max_consecutive_failed_trials=fn_args.custom_config["trials"] + 1,  # never give up: later trials may succeed
        hyperparameters=search_space(recipe, images.shape),
        allow_new_entries=False,
        seed=recipe.seed + 1,  # KerasTuner ignores a seed of 0
    )
    tuner = ELBOTuner(oracle, directory=fn_args.working_dir, project_name="tuner")
    data = {"recipe": recipe, "train": train, "validation": validation}
    return TunerFnResult(tuner=tuner, fit_kwargs={**data, "strategy": build_strategy(execution.strategy)})


def search_space(recipe: TrainConfig, shape: Shape) -> keras_tuner.HyperParameters:
    """Returns the ranges of the settings that matter most, about half to twice the recipe's, which is the default."""
    space = keras_tuner.HyperParameters()
    rate = recipe.learning_rate
    space.Float("learning_rate", rate / 4, min(4 * rate, 0.99), sampling="log", default=rate)
    least = math.prod(smallest_map(shape)) if recipe.latent_maps else 2
    sizes = ("channels", "latent_channels") if recipe.is_ladder else ("hidden_size", "latent_size")
    for name in (*sizes, *(["iaf_hidden_size"] if recipe.iaf_steps else [])):
        size = getattr(recipe, name)
        space.Choice(name, sorted({max(size // 2 // least * least, least), size, 2 * size}), default=size)
    if recipe.iaf_steps and not recipe.iaf_location_only:
        space.Float("gate_bias", recipe.gate_bias - 1.5, recipe.gate_bias + 1.5, default=recipe.gate_bias)
    return space


def shortened(recipe: TrainConfig) -> TrainConfig:
    """Returns `recipe` with fewer epochs, and with warm-ups shortened in proportion."""
    epochs = max(1, recipe.epochs // EPOCHS_DIVISOR)
    part = epochs / recipe.epochs
    return dataclasses.replace(
        recipe,
        epochs=epochs,
        warmup_epochs=recipe.warmup_epochs * part,
        kl_warmup_epochs=recipe.kl_warmup_epochs * part,
        importance_samples=0,
    )


class RecipeFirst(keras_tuner.oracles.RandomSearchOracle):
    """Random search whose first trial is the defaults, so that the best trial is no worse than they are."""

    def populate_space(self, trial_id: str) -> dict:
        """Returns the values of the next trial. KerasTuner calls it."""
        if not self.trials:
            return {"status": TrialStatus.RUNNING, "values": {p.name: p.default for p in self.hyperparameters.space}}
        return super().populate_space(trial_id)


class ELBOTuner(keras_tuner.Tuner):
    """Tuner that scores a trial by its ELBO on the validation images, nats per image."""

    def run_trial(
        self,
        trial: Trial,
        recipe: TrainConfig,
        train: ImageSet,
        validation: ImageSet,
        strategy: tf.distribute.Strategy,
    ) -> dict[str, float]:
        """Trains once and returns the score. KerasTuner calls it.

        A trial whose loss is not finite has failed, and the search continues. Any other error ends the search, even
        though KerasTuner itself would count an interrupt as a failed trial.
        """
        values, number = trial.hyperparameters.values, f"{int(trial.trial_id) + 1} of {self.oracle.max_trials}"
        settings = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        log.info("trial %s: %s; tested on images held out of the training split", number, settings)
        workdir = os.path.join(self.get_trial_dir(trial.trial_id), "run")
        os.makedirs(workdir)
        try:
            config = dataclasses.replace(shortened(recipe), **values)
            elbo = train_and_evaluate(config, train, validation, workdir, strategy=strategy).test.elbo
            discard(os.path.join(workdir, "checkpoints"))
            return {"elbo": elbo}
        except Exception as error:
            diverged = isinstance(error, UserError) and not isinstance(error, SettingError)
            if diverged:
                log.info("trial failed: %s", error)
            ends = keras_tuner.errors.FailedTrialError if diverged else keras_tuner.errors.FatalError
            raise ends(str(error)) from error

    def on_search_end(self) -> None:
        """Checks that a trial succeeded. KerasTuner calls it.

        Raises:
          UserError: none did.
        """
        super().on_search_end()
        if not any(trial.status == TrialStatus.COMPLETED for trial in self.oracle.trials.values()):
            raise UserError(
                f"all {len(self.oracle.trials)} trials of the Tuner failed, including the recipe itself",
                value=len(self.oracle.trials),
                remedy="Lower its learning rate, or its batch size if that exceeds the number of images, and run again",
            )
