"""What a fresh process found of a model, as the artifact of ServingCheck and the evaluation keep it."""

import json
import pathlib
from typing import NamedTuple

FILE = "serving.json"  # in the artifact


class Latency(NamedTuple):
    """The time of a signature's calls, milliseconds per image."""

    median: float
    most: float  # 95th percentile


class Serving(NamedTuple):
    """What a fresh process found of a model."""

    reasons: list[str]  # not to serve it; empty: it can be served
    answers: bool  # whether every signature answers as documented, with right or wrong numbers
    loaded_seconds: float | None  # None: it cannot be loaded
    elbo_difference: float | None  # largest of an image to the trainer's ELBO, nats
    latency: dict[str, dict[str, Latency]]  # signature -> images in a call

    @classmethod
    def useless(cls, reasons: list[str], loaded_seconds: float | None) -> "Serving":
        """Returns the record of a model that does not answer as documented."""
        return cls(reasons, False, loaded_seconds, None, {})

    def to_json(self) -> str:
        """Returns the fields as JSON."""
        return json.dumps(self._asdict(), indent=1)

    @classmethod
    def from_dict(cls, fields: dict) -> "Serving":
        """Returns what parsed JSON says."""
        latency = {
            name: {images: Latency(*numbers) for images, numbers in sizes.items()}
            for name, sizes in fields["latency"].items()
        }
        return cls(**{**fields, "latency": latency})


def read_serving(blessing: str) -> Serving:
    """Reads what the artifact at the path `blessing` says."""
    return Serving.from_dict(json.loads(pathlib.Path(blessing, FILE).read_text()))


def words(serving: Serving) -> str:
    """Describes the numbers of a model that answers: loading, latency, and agreement with the trainer."""
    alone, *_, together = serving.latency["serving_default"].items()
    return (
        f"Serving: loaded in {serving.loaded_seconds:.1f} s; {alone[1].median:.1f} ms for a reconstruction (95 % "
        f"within {alone[1].most:.1f}), {together[1].median:.2f} ms an image in batches of {together[0]} (95 % within "
        f"{together[1].most:.2f}); ELBO within {serving.elbo_difference:.4f} nats of the trainer's"
    )
