"""What a comparison found, as a file."""

import json
import os
import pathlib
from typing import Any, NamedTuple

from components.drift.bins import Cells
from components.drift.compare import Comparator, Figure
from trainer.storage.durable import write_durably

FILE, PAGE = "drift.json", "index.html"  # in the artifact


class Findings(NamedTuple):
    """The comparison of two sets of images."""

    comparator: Comparator
    current: str  # what is compared, in words
    reference: str  # with what
    allowed: float  # divergence that is no drift, bits, beside what chance alone gives
    figures: list[Figure]
    notes: list[str]  # what was not compared, and why

    @property
    def drifted(self) -> list[Figure]:
        """The figures beyond their thresholds, the largest excess first."""
        found = [figure for figure in self.figures if figure.drifted]
        return sorted(found, key=lambda figure: figure.threshold - figure.divergence)

    @property
    def sentence(self) -> str:
        """Says what drifted, with figures and thresholds; empty without drift."""
        if not (drifted := self.drifted):
            return ""
        each = [f"{figure.name} ({figure.divergence:.3f} beyond {figure.threshold:.3f} bits)" for figure in drifted]
        return f"{self.current} differ from {self.reference} in {', '.join(each)}"

    @property
    def title(self) -> str:
        """A headline."""
        return f"{self.current[0].upper()}{self.current[1:]} and {self.reference}"

    def drift(self, page: str) -> dict[str, Any]:
        """Returns what drifted, for a failure and an event; `page` has the histograms."""
        figures = {
            figure.name: {"divergence": figure.divergence, "threshold": figure.threshold} for figure in self.drifted
        }
        return {"comparator": str(self.comparator), "sentence": self.sentence, "figures": figures, "histograms": page}

    def to_json(self) -> str:
        """Returns all of it as JSON."""
        figures = [{**figure._asdict(), "cells": figure.cells._asdict()} for figure in self.figures]
        return json.dumps({**self._asdict(), "figures": figures}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Findings":
        """Undoes `to_json`."""
        fields = json.loads(text)
        figures = [Figure(**{**figure, "cells": Cells(**figure["cells"])}) for figure in fields["figures"]]
        return cls(**{**fields, "comparator": Comparator(fields["comparator"]), "figures": figures})


def write_findings(findings: Findings, folder: str) -> None:
    """Writes the findings to a file in `folder`."""
    write_durably(os.path.join(folder, FILE), findings.to_json().encode())


def read_findings(folder: str) -> Findings:
    """Reads the findings in `folder`."""
    return Findings.from_json(pathlib.Path(folder, FILE).read_text())
