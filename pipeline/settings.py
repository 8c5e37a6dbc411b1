"""What a pipeline run is made of."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from components.drift.names import NODES
from components.ingest.spans import check_pattern, folder_of, is_pattern
from components.ingest.splits import PATTERN
from pipeline.masking import masked
from trainer.presets import PRESETS, recipe
from trainer.schema import Needs, Place, SettingError, check_needs, setting, table
from trainer.settings import RUN, Execution, Number, TrainConfig, check_workers
from trainer.shape import THEIRS
from trainer.storage.folders import checked_folder

TUNER_STRATEGIES = ("auto", "default", "mirrored")  # of one process, on devices that it can use itself
BEAM_NODES = (
    "ImageExampleGen",
    "StatisticsGen",
    "ServingExampleGen",
    "ServingStatisticsGen",
    *NODES,
    "Evaluator",
    "AtomicPusher",  # it may evaluate again
)
NOTIFY_SECRET = "VAEIAF_NOTIFY_SECRET"  # environment variable: signs notifications
DATASET = r"^\w+(/[\w.-]+)?(:\d+\.\d+\.\d+)?$"
WEBHOOK = r"^https?://[^\s/?#@]+([/?#]\S*)?$"
VALID_WEBHOOK = "an address such as https://hooks.example.com/vaeiaf, without a user or password"
TFDS = Needs("TFDS as the source, which data replaces", lambda config: config.data is None)
SPANS = Needs("a pattern such as photos/{SPAN} as data", lambda config: config.has_spans)
BASELINE = Needs("a baseline", lambda config: not config.no_baseline)
COMPARED = Needs("serving_data, or spans as data", lambda config: config.serving_data is not None or config.has_spans)

VALID_SPLITS = (
    "none with spans: a hash of each image chooses the test images, so that no earlier model was trained on them in "
    "another span"
)

# The choice of a recipe is no field of a table, because the recipe takes its place.
PRESET, PRESET_HELP = "default", f"recipe of the training: {', '.join(PRESETS)}"

_data = functools.partial(setting, places=RUN, group="data")
_drift = functools.partial(setting, places=RUN, group="drift")
_folder = functools.partial(setting, unit="folder", places=Place.COMMAND_LINE)
_training = functools.partial(setting, places=RUN, group="training")
_gate = functools.partial(setting, places=RUN, group="gate")
_retention = functools.partial(setting, places=RUN, group="retention")
_bound = functools.partial(_gate, unit="nats")


@table
class PipelineConfig(Execution):
    """Data, training, gate and places of one run. Its folders become absolute paths.

    Raises:
      SettingError: a value is invalid.
    """

    dataset: str = _data(
        "data set: photo_patches (embedded), cifar10, or another TFDS name",
        default="cifar10",
        needs=TFDS,
        pattern=DATASET,
        valid="a name as TFDS writes it, such as cifar10 or cifar10:3.0.2",
    )
    data: str | None = _data(
        "path of your own images, in place of a data set, or pattern of spans such as photos/{SPAN}; none: dataset",
        default=None,
    )
    spans: int = _data("newest complete spans that a run uses", default=1, needs=SPANS, ge=1)
    span_marker: str | None = _data(
        "file that a complete span has, such as _SUCCESS; none: span_age_minutes tells",
        default=None,
        needs=SPANS,
        pattern=r"^[^/]+$",
        valid="the name of a file",
    )
    span_age_minutes: Number = _data(
        "time without changes after which a span is complete, unless there is a span_marker",
        "minutes",
        default=15.0,
        needs=SPANS,
        ge=0,
    )
    data_dir: str | None = _folder(
        "prepared TFDS data sets; none: TFDS_DATA_DIR", group="data", default=None, needs=TFDS
    )
    manual_dir: str | None = _folder(
        "archive of the data set, for a machine without a network", group="data", default=None, needs=TFDS
    )
    splits: str | None = _data(
        "parts of the data for train and test, as in train=train+extra,test=validation; none: those of these names",
        default=None,
        pattern=PATTERN,
        valid="parts of the data, as in train=train+extra,test=validation",
    )
    test_share: float = _data(
        "share of the images that become test by a hash of each, in data without a part for test",
        default=0.1,
        gt=0,
        lt=1,
    )
    max_unreadable: float = _data("share of unreadable images that are left out", default=0.0, ge=0, lt=1)
    image_shape: str = _data(
        f"shape that images are cropped and resized to; {THEIRS}: they keep theirs, which is one for all",
        "HxWxC",
        default=THEIRS,
        pattern=rf"^({THEIRS}|([1-9]\d{{0,4}}x){{2}}[134])$",
        valid=f"height x width x channels, such as 64x64x3, 28x28x1 or 48x64x4, or {THEIRS}",
    )
    allow_shared_images: bool = _data("accept test images that are also training images, pixel by pixel", default=False)
    serving_data: str | None = _drift(
        "path of images that a served model was given, which the data are compared with; none: no comparison",
        default=None,
    )
    drift_threshold: float = _drift(
        "divergence of data from others that is no drift, beside what chance alone gives",
        "bits",
        default=0.02,
        needs=COMPARED,
        ge=0,
        le=1,
    )
    on_drift: Literal["warn", "stop"] = _drift(
        "what drift beyond the threshold does: a warning, or the end of the run before its training",
        default="warn",
        needs=COMPARED,
    )
    train: TrainConfig = Field(default_factory=TrainConfig)
    tune: int = _training("trials of the Tuner, each over a quarter of the epochs; 0: no Tuner", default=0, ge=0)
    warm_start: bool | None = _training(
        "start from the weights of the last blessed model, if there is one; none: with spans, if they fit the settings",
        default=None,
    )
    min_elbo: Number | None = _bound(
        "lower bound of the test-set ELBO per image; none: that of independent pixels", default=None
    )
    max_regression: Number = _bound(
        "loss of ELBO per image, against the last blessed model, that passes with 95 % confidence",
        default=1.0,
        needs=BASELINE,
        ge=0,
    )
    min_label_elbo: Number | None = _bound("lower bound of the ELBO on the images of each label", default=None)
    no_baseline: bool = _gate("compare with no earlier model; the verdict says so", default=False)
    keep_versions: int = _retention("pushed versions that stay after a run, the newest; 0: all", default=0, ge=0)
    keep_runs: int = _retention(
        "runs whose artifacts stay after a run, the newest and those of versions that stay; 0: all", default=0, ge=0
    )
    root: str = _folder("state directory: artifacts, metadata, pushed models, logs", group="place", default="vaeiaf")
    notify_url: str | None = setting(
        f"webhook that a push, a refusal or a failure is posted to as a CloudEvent, signed if {NOTIFY_SECRET} is set",
        *("URL", Place.COMMAND_LINE, "place"),
        default=None,
        pattern=WEBHOOK,
        valid=VALID_WEBHOOK,
    )
    beam_args: tuple[str, ...] = setting(
        "an argument of Beam, as in --beam-arg=--runner=FlinkRunner; may be repeated",
        *("", Place.COMMAND_LINE, "place"),
        default=(),
    )
    beam_nodes: tuple[str, ...] = setting(
        "nodes that beam_args are for; on a cluster beam.nodes of cluster.yaml",
        places=Place.CLUSTER,
        default=BEAM_NODES,
    )

    def __post_init__(self) -> None:
        if self.tune and self.warm_start:
            raise SettingError("tune", "0 with warm_start, whose weights have the shapes that trials vary", self.tune)
        if self.warm_start and self.no_baseline:
            raise SettingError("warm_start", "false with no_baseline, which finds no model to start from", True)
        check_workers(self, self.train)
        alone = f"with tune {self.tune}, whose trials run in one process"
        if self.tune and self.workers > 1:
            raise SettingError("workers", f"1 {alone}", self.workers)
        if self.tune and self.strategy not in TUNER_STRATEGIES:
            raise SettingError("strategy", f"one of {', '.join(TUNER_STRATEGIES)} {alone}", self.strategy)
        for name in ("root", "data", "serving_data", "data_dir", "manual_dir"):
            if (folder := getattr(self, name)) is not None:
                object.__setattr__(self, name, checked_folder(name, folder))
        if self.has_spans:
            check_pattern(self.data or "")
            if self.splits:
                raise SettingError("splits", VALID_SPLITS, self.splits)
        for name in ("data_dir", "manual_dir"):
            if (folder := getattr(self, name)) is not None and not os.path.isdir(folder):
                raise SettingError(name, "a folder that exists", folder)

    @property
    def has_spans(self) -> bool:
        """Whether the data arrive in spans."""
        return is_pattern(self.data)

    @property
    def starts_warm(self) -> bool:
        """Whether training starts from the last blessed model, if there is one."""
        if self.warm_start is None:
            return self.has_spans and not self.tune and not self.no_baseline
        return self.warm_start

    @property
    def source(self) -> str:
        """Path of the data, or name of the data set."""
        return self.data or self.dataset

    @property
    def name(self) -> str:
        """Name of the pipeline: models of one data set, or of data of the same name, compete with each other."""
        path = folder_of(self.data) if self.data and self.has_spans else self.data
        data = os.path.basename(path) if path else self.dataset
        return "vaeiaf-" + "".join(c if c.isalnum() else "-" for c in data)

    @property
    def recorded(self) -> dict[str, Any]:
        """The settings by name, with those of the recipe, for a comparison with later runs.

        The state directory is left out because it may be moved, and the webhook because its address may be a secret.
        Secrets among Beam's arguments are masked.
        """
        own = dataclasses.asdict(self)
        recipe = own.pop("train")
        own["beam_args"] = masked(self.beam_args)
        return {name: value for name, value in {**own, **recipe}.items() if name not in ("root", "notify_url")}

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
        """Folder of the checkpoints of unfinished trainings."""
        return os.path.join(self.root, "training", self.name)

    @property
    def metadata(self) -> str:
        """The ML Metadata database, an SQLite file."""
        return os.path.join(self.root, "metadata.sqlite")

    @property
    def push_directory(self) -> str:
        """Folder that a model server watches."""
        return os.path.join(self.root, "pushed", self.name)


def build_config(preset: str, of_recipe: Mapping[str, Any], of_run: Mapping[str, Any]) -> PipelineConfig:
    """Builds the run from the preset and the given settings.

    Raises:
      SettingError: a value is invalid, or has no meaning beside the others.
    """
    config = PipelineConfig(train=recipe(preset, of_recipe), **of_run)
    check_needs(config, of_run)
    return config
