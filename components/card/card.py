"""The facts of a model card, as data, which a copy of the model keeps."""

import datetime
import json
from typing import Any, NamedTuple

Numbers = dict[str, float]  # by name; those of an ELBO in nats per image


class Measure(NamedTuple):
    """What the ELBO measures."""

    words: str  # likelihood, unit, shape and scaling of the images, draws per image
    likelihood: str  # its name in the settings
    shape: str  # of an image, HxWxC
    bits_per_dim: float | None  # of the test-set ELBO; None: the likelihood is no probability of pixels


class Data(NamedTuple):
    """What the model is trained and tested on."""

    source: str  # name of the data set, or path of the data
    train_images: int
    test_images: int
    spans: list[str]  # names, the oldest first; empty: the data have no spans
    shared_images: int = 0  # test images that are also training images
    unreadable_images: int = 0  # that were left out


class Serving(NamedTuple):
    """What a fresh process that loaded the model before the push found."""

    loaded_seconds: float
    elbo_difference: float  # largest of an image to the trainer's, nats
    latency: dict[str, dict[str, list[float]]]  # signature -> images in a call -> median and 95th percentile, ms


class Training(NamedTuple):
    """How the model was trained."""

    recipe: dict[str, Any]  # settings by name
    epochs: int
    best_epoch: int  # from 1: the exported one
    seconds: float  # of all epochs, without evaluation
    images_per_second: float
    importance_weighted_bound: float | None  # nats per image over the test images; None: was not computed
    importance_samples: int  # draws of each image for it
    base_model: str | None  # identity of the model whose weights it started from; None: random weights
    bound_lower: float | None = None  # of the bound's 95 % interval
    bound_upper: float | None = None
    bound_gain: float | None = None  # of the bound over the ELBO, nats per image
    bound_gain_lower: float | None = None  # of its 95 % interval
    bound_gain_upper: float | None = None
    bound_images: int | None = None  # test images behind the gain


class Copied(NamedTuple):
    """How a version became a copy of an earlier one."""

    version: int  # the earlier one
    change: str  # rollback or withdrawal
    time: str
    who: str
    reason: str


class Card(NamedTuple):
    """The facts of a version's card. What an earlier version of this project did not record is None or empty."""

    version: int
    series: str  # the name of the push directory
    time: str  # of the push
    model: str  # identity of the SavedModel's files, the card's excepted
    run: str | None  # id of the run that made the model
    figures: Numbers  # over all test images
    baseline: Numbers | None  # of the last blessed model, over the same images
    labels: dict[str, Numbers]  # over the test images of each label
    notes: list[str]  # of the gate, on its comparison
    measure: Measure | None
    data: Data | None
    serving: Serving | None
    training: Training | None
    libraries: dict[str, str]  # versions, by name
    code: str  # fingerprint of the code that trained
    copies: list[Copied] = []  # noqa: RUF012  of the model, the first one first; nothing changes the list

    def to_json(self) -> str:
        """Returns all of it as JSON."""
        return json.dumps(_plain(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Undoes `to_json`."""
        fields = json.loads(text)
        for name, kind in (("measure", Measure), ("data", Data), ("serving", Serving), ("training", Training)):
            fields[name] = fields[name] and kind(**fields[name])
        return cls(**{**fields, "copies": [Copied(**copy) for copy in fields["copies"]]})

    def copied(self, change: str, who: str, reason: str, time: datetime.datetime) -> "Card":
        """Returns the card of a copy of this version, whose number and time `numbered` says."""
        return self._replace(copies=[*self.copies, Copied(self.version, change, stamp(time), who, reason)])

    def numbered(self, version: int, time: datetime.datetime) -> "Card":
        """Returns the card of the version with this number, pushed at `time`."""
        return self._replace(version=version, time=stamp(time))


def stamp(time: datetime.datetime) -> str:
    """Returns a time to the minute, in UTC: who reads a card may live elsewhere."""
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def _plain(facts: Any) -> Any:
    if isinstance(facts, tuple) and hasattr(facts, "_asdict"):
        return {name: _plain(value) for name, value in facts._asdict().items()}
    return [_plain(value) for value in facts] if isinstance(facts, list) else facts
