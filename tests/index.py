"""Runs for the index, as ML Metadata has them."""

import datetime
import random
from collections.abc import Sequence
from typing import Any

from pipeline.index.entries import Entry, Series
from pipeline.state.runs import Run
from pipeline.state.served import Change

START = datetime.datetime(2026, 1, 1, 3, 0).astimezone()
RUN = Run("run", "vaeiaf-toy", START, 60.0, "pushed", None, 1, -1850.0, 2.0, "")
REASON = (
    "the test-set ELBO is -1853.20, that of the last blessed model -1850.00 nats per image; the gain over 10000 paired "
    "images is -3.20, with 95 % confidence between -4.20 and -2.20: worse by more than the 1.00 allowed"
)


def entry(night: int = 0, drift: str = "", report: str | None = None, **fields: Any) -> Entry:
    """A run of this night."""
    started = START + datetime.timedelta(days=night)
    run = RUN._replace(run=started.isoformat(), started=started, **fields)
    card = f"/root/pushed/vaeiaf-toy/{run.version}/assets.extra/model_card.html" if run.state == "pushed" else None
    return Entry(run, drift, report, card)


def nights(count: int) -> list[Entry]:
    """A run a night, the newest first: most are pushed, some refused, failed, or of other data than before."""
    chance, found = random.Random(0), []
    for night in range(count):
        state = chance.choices(["pushed", "unchanged", "refused", "failed"], [80, 5, 10, 5])[0]
        failed, number = state == "failed", -1850.0 - 60.0 / (1 + night / 10) + chance.gauss(0.0, 2.0)
        found.append(
            entry(
                night,
                drift="images differ from the last ones in brightness (0.310 beyond 0.021 bits)"
                if chance.random() < 0.05
                else "",
                report=None if failed else f"/root/artifacts/vaeiaf-toy/Report/report/{night}/index.html",
                state=state,
                node="Trainer" if failed else None,
                version=1767236400 + night if state in ("pushed", "unchanged") else None,
                elbo=None if failed else number - (9000.0 if night == 7 else 0.0),
                standard_error=None if failed else 2.0,
                reasons=REASON if state == "refused" else "",
            )
        )
    return found[::-1]


def change(night: float = 0.0, kind: str = "rollback", **fields: Any) -> Change:
    """A change of what is served after the run of this night."""
    time = START + datetime.timedelta(days=night, hours=5)
    return Change(kind, time, "vaeiaf-toy", "ada", "grey samples", 1767236400, 1767240000, True)._replace(**fields)


def series(entries: Sequence[Entry], changes: Sequence[Change] = (), **fields: Any) -> Series:
    """The series of these runs, the newest first."""
    return Series("vaeiaf-toy", None, [*entries], [*changes])._replace(**fields)
