"""What a pipeline run is made of."""

import dataclasses
import os
import re

from trainer.settings import ConfigError, TrainConfig, check_finite, check_workers
from trainer.storage.folders import checked_folder

TUNER_STRATEGIES = ("auto", "default", "mirrored")  # of one process, on devices that it can use itself


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """Data, training, gate and places of one run. Its folders become absolute paths.

    Raises:
      ConfigError: a value that cannot be; the message names the setting, what was expected and what came.
    """

    dataset: str  # as TFDS writes it
    train: TrainConfig
    root: str  # everything that runs leave behind
    data_dir: str | None = None  # prepared TFDS data sets; None: TFDS_DATA_DIR or TFDS's default
    manual_dir: str | None = None  # the data set's archive, for a machine that cannot download it
    allow_shared_images: bool = False  # accept test images that are also training images
    min_elbo: float | None = None  # nats per image; None: that of independent pixels
    max_regression: float = 1.0  # nats per image that a model may be worse than the last blessed one
    min_label_elbo: float | None = None  # nats per image, on the images of each label; None: no such bound
    no_baseline: bool = False  # whether the gate compares with no earlier model, though one may be served
    tune: int = 0  # trials of the Tuner before the training; 0: no Tuner
    warm_start: bool = False  # train from the weights of the last blessed model, not from random ones
    strategy: str = "auto"  # of tf.distribute, on which a step runs
    workers: int = 1  # processes that train together; 1: the pipeline's own
    checkpoint_minutes: float = 5.0  # between two checkpoints of the training
    beam_args: tuple[str, ...] = ()  # of Beam; another --runner replaces the default one

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w+(/[\w.-]+)?(:\d+\.\d+\.\d+)?", self.dataset):
            raise ConfigError("dataset", "a name as TFDS writes it, such as cifar10 or cifar10:3.0.2", self.dataset)
        check_finite(self)
        if self.max_regression < 0:
            raise ConfigError("max_regression", "a number of nats per image that is not negative", self.max_regression)
        if self.tune < 0:
            raise ConfigError("tune", "a number of trials that is not negative", self.tune)
        if self.tune and self.warm_start:
            raise ConfigError("tune", "0 with warm_start, whose weights have the shapes that trials vary", self.tune)
        if self.warm_start and self.no_baseline:
            raise ConfigError("warm_start", "false with no_baseline, which finds no model to start from", True)
        check_workers(self.workers, self.strategy, self.train)
        if self.tune:
            self._check_trials()
        if self.checkpoint_minutes < 0:
            raise ConfigError("checkpoint_minutes", "a number of minutes that is not negative", self.checkpoint_minutes)
        for name in ("root", "data_dir", "manual_dir"):
            if (folder := getattr(self, name)) is not None:
                object.__setattr__(self, name, checked_folder(name, folder))
        for name in ("data_dir", "manual_dir"):
            folder = getattr(self, name)
            if folder is not None and not os.path.isdir(folder):
                raise ConfigError(name, "a folder that exists", folder)

    def _check_trials(self) -> None:
        """Trials of the Tuner run in its own process, one after the other."""
        if self.workers > 1:
            raise ConfigError("workers", f"1 with tune {self.tune}, whose trials run in one process", self.workers)
        if self.strategy not in TUNER_STRATEGIES:
            expected = f"one of {', '.join(TUNER_STRATEGIES)} with tune {self.tune}, whose trials run in one process"
            raise ConfigError("strategy", expected, self.strategy)

    @property
    def name(self) -> str:
        """Name of the pipeline: models of one data set compete with each other."""
        return "vaeiaf-" + "".join(c if c.isalnum() else "-" for c in self.dataset)

    @property
    def data_dirs(self) -> list[str]:
        """Where to look for the data set, in order; it is prepared in the last."""
        given = os.environ.get("TFDS_DATA_DIR")
        default = checked_folder("TFDS_DATA_DIR", given) if given else os.path.expanduser("~/tensorflow_datasets")
        return [self.data_dir or default, os.path.join(self.root, "datasets")]

    @property
    def artifacts(self) -> str:
        """Folder of the artifacts of every component."""
        return os.path.join(self.root, "artifacts", self.name)

    @property
    def training(self) -> str:
        """Folder of the checkpoints of trainings that have not come to their end."""
        return os.path.join(self.root, "training", self.name)

    @property
    def metadata(self) -> str:
        """The ML Metadata database, an SQLite file."""
        return os.path.join(self.root, "metadata.sqlite")

    @property
    def push_directory(self) -> str:
        """Folder that a model server watches."""
        return os.path.join(self.root, "pushed", self.name)
