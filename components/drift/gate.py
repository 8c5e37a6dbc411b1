"""DriftGate: warns of drift, or ends the run before it trains."""

import logging
import os

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from components.drift.component import DriftFindings
from components.drift.findings import PAGE, Findings, read_findings
from trainer.errors import ReportedError
from trainer.failure import Kind

log = logging.getLogger(__name__)

WARN = "warn"


@component
def DriftGate(on_drift: Parameter[str], drift: InputArtifact[DriftFindings]):
    """Tells the run what was found; it is never cached, so that each run is told.

    Args:
      on_drift: `warn` or `stop`.
      drift: the findings.

    Raises:
      ReportedError: there is drift, and `on_drift` is `stop`. Its kind is a refusal: nobody made a mistake.
    """
    judge(read_findings(drift.uri), os.path.join(drift.uri, PAGE), on_drift)


def judge(findings: Findings, page: str, on_drift: str) -> None:
    """Warns of drift, or raises ReportedError; `page` shows the histograms."""
    for note in findings.notes:
        log.info("%s", note)
    if not findings.drifted:
        log.info("no drift: %s and %s", findings.current, findings.reference)
    elif on_drift == WARN:
        log.warning("DRIFT: %s; both histograms: %s", findings.sentence, page)
    else:
        raise ReportedError(
            f"{findings.sentence}; both histograms: {page}",
            value=findings.drift(page),
            remedy="Look at the new data; to train on them anyway, run again with --on-drift warn or a larger "
            "--drift-threshold. Nothing was trained",
            kind=Kind.REFUSED,
        )
