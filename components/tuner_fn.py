"""tuner_fn of the Tuner component: a random search around the recipe, on held-out images of the training split."""

import dataclasses
import logging
import os

import keras_tuner
import tensorflow_transform as tft
from keras_tuner.src.engine.trial import Trial, TrialStatus
from tfx.components.trainer import fn_args_utils
from tfx.components.tuner.component import TunerFnResult

from trainer.config import TrainConfig
from trainer.errors import UserError
from trainer.images import ImageSet, hold_out, load_images
from trainer.loop import train_and_evaluate

log = logging.getLogger(__name__)

VALIDATION_FRACTION = 0.1  # of the training split
EPOCHS_FRACTION = 4  # a trial trains for this part of the recipe's epochs


def tuner_fn(fn_args: fn_args_utils.FnArgs) -> TunerFnResult:
    """A search of `trials` trials around `train`, both in the component's custom_config. The test split has no part."""
    recipe = TrainConfig.from_dict(fn_args.custom_config["train"])
    transform = tft.TFTransformOutput(fn_args.transform_graph_path).transform_features_layer()
    train, validation = hold_out(load_images(fn_args.train_files, transform), VALIDATION_FRACTION, recipe.seed)
    oracle = RecipeFirst(
        objective=keras_tuner.Objective("elbo", "max"),
        max_trials=fn_args.custom_config["trials"],
        hyperparameters=search_space(recipe),
        allow_new_entries=False,
        seed=recipe.seed,
    )
    tuner = ELBOTuner(oracle, directory=fn_args.working_dir, project_name="tuner")
    return TunerFnResult(tuner=tuner, fit_kwargs={"recipe": recipe, "train": train, "validation": validation})


def search_space(recipe: TrainConfig) -> keras_tuner.HyperParameters:
    """The settings that matter most, half to twice the recipe's; the recipe itself is the default."""
    space = keras_tuner.HyperParameters()
    rate = recipe.learning_rate
    space.Float("learning_rate", rate / 4, min(4 * rate, 0.5), sampling="log", default=rate)
    for name in ("hidden_size", "latent_size", *(["iaf_hidden_size"] if recipe.iaf_steps else [])):
        size = getattr(recipe, name)
        space.Choice(name, sorted({max(size // 2, 2), size, 2 * size}), default=size)
    if recipe.iaf_steps:
        space.Float("gate_bias", 0.0, 3.0, default=recipe.gate_bias)
    return space


class RecipeFirst(keras_tuner.oracles.RandomSearchOracle):
    """Random search whose first trial is the defaults, so that what is found is no worse than they are."""

    def populate_space(self, trial_id: str) -> dict:
        """KerasTuner's hook: the values of the next trial."""
        if not self.trials:
            return {"status": TrialStatus.RUNNING, "values": {p.name: p.default for p in self.hyperparameters.space}}
        return super().populate_space(trial_id)


class ELBOTuner(keras_tuner.Tuner):
    """Tries settings by training with them; the score is the ELBO of the validation images, nats per image."""

    def run_trial(self, trial: Trial, recipe: TrainConfig, train: ImageSet, validation: ImageSet) -> dict[str, float]:
        """KerasTuner's hook: trains once. A trial whose loss is not finite has failed; the search goes on."""
        values = trial.hyperparameters.values
        settings = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        log.info(
            "trial %d of %d: %s; its test images are held out of the training split",
            int(trial.trial_id) + 1,
            self.oracle.max_trials,
            settings,
        )
        config = dataclasses.replace(
            recipe, **values, epochs=max(1, recipe.epochs // EPOCHS_FRACTION), importance_samples=0
        )
        workdir = os.path.join(self.get_trial_dir(trial.trial_id), "run")
        os.makedirs(workdir)
        try:
            return {"elbo": train_and_evaluate(config, train, validation, workdir).test.elbo}
        except UserError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
