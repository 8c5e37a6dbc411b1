"""The KL of each latent, and how many latents are active, with 95 % intervals over the images."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from components.pages.charts import ACCENT, INK, Chart, chart
from trainer.evaluate import ACTIVE


class Use(NamedTuple):
    """What a model says in a group of latents. An earlier version of the project recorded no intervals."""

    latents: int
    active: int  # whose KL is above ACTIVE
    active_interval: Sequence[int] | None  # those whose whole interval is above ACTIVE, and those of which a part is
    kl: float  # nats per image
    half_width: float | None  # of the KL's interval, nats


class Group(NamedTuple):
    """A group of latents of this model, beside the group of the same name of the served one."""

    name: str
    use: Use
    served: Use | None
    chart: Chart


def groups(history: dict[str, Any], served: dict[str, Any] | None = None) -> list[Group]:
    """Describes the groups of latents of a training's history beside those of the served model's."""
    theirs = {group["group"]: group for group in served["latents"]} if served else {}
    return [_group(group, theirs.get(group["group"])) for group in history["latents"]]


def _group(of_ours: dict[str, Any], of_theirs: dict[str, Any] | None) -> Group:
    name, ours, theirs = of_ours["group"], _use(of_ours), _use(of_theirs) if of_theirs else None
    kl, served = of_ours["kl"], of_theirs["kl"] if of_theirs else None

    def draw(axes: Axes) -> None:
        axes.stairs(_sorted(kl), fill=True, color=ACCENT, label="this model")  # one bar each, as a single shape
        if served:
            axes.stairs(_sorted(served), color=INK, linewidth=1.0, label="served model")
            axes.legend()
        axes.set(xlabel="latents, by their KL", title=f"KL of each latent of {name}, nats per image")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    told = [_told("This model", ours, kl), *([_told("The served model", theirs, served)] if theirs and served else [])]
    alt = f"KL of each latent of the group {name}, the largest first. {' '.join(told)}"
    return Group(name, ours, theirs, chart(f"kl-of-latents-{name}", alt, draw))


def _use(group: dict[str, Any]) -> Use:
    kl = group["kl"]
    active = sum(share > ACTIVE for share in kl)
    return Use(len(kl), active, group.get("active_interval"), float(np.sum(kl)), group.get("half_width"))


def _told(model: str, use: Use, kl: list[float]) -> str:
    return f"{model}: {use.active} of {use.latents} above {ACTIVE} nats, the largest {max(kl):.2f}."


def _sorted(kl: list[float]) -> list[float]:
    return sorted((share if np.isfinite(share) else 0.0 for share in kl), reverse=True)
