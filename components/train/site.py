"""Where the training of this process's node takes place."""

import dataclasses

from trainer.workers.launch import Launch, launch_local


@dataclasses.dataclass
class Site:
    """Facts of the place, not of the recipe: the result does not depend on them.

    They are in no cache key, so TFX's configuration cannot carry them.
    """

    launch: Launch = launch_local  # starts the workers of a training
    apart: bool = False  # whether a single worker is started too, for a device that this process cannot use
    checkpoint_minutes: float = 5.0  # between two checkpoints of a training
    strategy: str = "auto"  # of tf.distribute
    workers: int = 1  # processes that train together
    training: str = ""  # folder of the states of trainings that have left no recorded model yet
    warm_start: bool = False  # whether a base model was asked for; the model itself is an input
    run: str = ""  # keeps the checkpoints of runs apart that are at work at the same time


here = Site()  # whoever runs nodes elsewhere sets its fields
