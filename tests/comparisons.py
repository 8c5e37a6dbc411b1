"""Findings of comparisons, for tests of what tells them."""

from components.drift.bins import Cells
from components.drift.compare import Comparator, Figure
from components.drift.findings import Findings

BRIGHTNESS = Figure("brightness", 0.5, 0.03, 0.01, True, Cells([0.0, 0.25, 1.0], [], [90.0, 10.0], [5.0, 95.0]))
LABEL = Figure("label", 0.001, 0.025, 0.005, False, Cells([], ["<cat>", "others"], [50.0, 50.0], [51.0, 49.0]))
DRIFTED = Findings(Comparator.SKEW, "the new data", "the old data", 0.02, [LABEL, BRIGHTNESS], ["without a model"])
EQUAL = DRIFTED._replace(figures=[LABEL], notes=[])
