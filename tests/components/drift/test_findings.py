import json
from html.parser import HTMLParser

import pytest

from comparisons import BRIGHTNESS, DRIFTED, EQUAL, LABEL
from components.drift import histogram
from components.drift.bins import Cells
from components.drift.findings import Findings, read_findings, write_findings
from components.drift.gate import judge
from components.drift.page import render
from trainer.errors import ReportedError


def test_findings_survive_their_file(tmp_path):
    write_findings(DRIFTED, str(tmp_path))
    assert read_findings(str(tmp_path)) == DRIFTED
    assert Findings.from_json(json.dumps(json.loads(EQUAL.to_json()))) == EQUAL


def test_drift_is_said_with_figure_and_threshold_and_the_largest_excess_first():
    assert DRIFTED.sentence == "the new data differ from the old data in brightness (0.500 beyond 0.030 bits)"
    assert EQUAL.sentence == ""
    more = LABEL._replace(divergence=0.9, drifted=True)
    assert [figure.name for figure in DRIFTED._replace(figures=[BRIGHTNESS, more]).drifted] == ["label", "brightness"]


def test_a_run_that_drift_stops_is_told_what_to_do():
    with pytest.raises(ReportedError) as error:
        judge(DRIFTED, "/drift/index.html", "stop")
    assert str(error.value) == (
        "the new data differ from the old data in brightness (0.500 beyond 0.030 bits); both histograms: "
        "/drift/index.html. Look at the new data; to train on them anyway, run again with --on-drift warn or a larger "
        "--drift-threshold. Nothing was trained"
    )


@pytest.mark.parametrize(("findings", "on_drift"), [(DRIFTED, "warn"), (EQUAL, "stop")])
def test_a_run_continues_with_a_warning_or_without_drift(findings, on_drift, caplog):
    caplog.set_level("INFO")
    judge(findings, "/drift/index.html", on_drift)
    assert ("DRIFT: " in caplog.text, "/drift/index.html" in caplog.text) == (bool(findings.drifted),) * 2
    assert all(note in caplog.text for note in findings.notes)


def test_the_page_has_figures_thresholds_and_both_histograms():
    html = render(DRIFTED)
    HTMLParser().feed(html)
    for text in ("0.5000", "0.0300", "100 / 100", "90 / 5 %", "0 to 0.25", "&lt;cat&gt;", "without a model"):
        assert text in html
    assert html.count("<svg") == 2
    assert html.index("<h3>brightness") < html.index("<h3>label"), "what drifted comes first"
    assert "<script" not in html
    assert "No drift" in render(EQUAL)


def test_the_page_reads_well(tmp_path, faults_of):
    long = Cells([0.00419, 0.00591, 1.0], ["GOLDEN_RETRIEVER_OF_1924"], [50.0, 10.0, 40.0], [5.0, 5.0, 90.0])
    wide = DRIFTED._replace(figures=[BRIGHTNESS._replace(cells=long)], current="photos/" + 40 * "x")
    for name, findings in (("drift", DRIFTED), ("no drift", EQUAL), ("long texts", wide)):
        path = tmp_path / f"{name}.html"
        path.write_text(render(findings))
        assert faults_of(path) == [], name


def test_of_many_labels_those_that_differ_most_are_drawn():
    count = 3 * histogram.SHOWN
    current = [10.0] * count
    current[7], current[20] = 100.0, 0.0
    drawn = histogram.draw(Cells([], [f"label-{i}" for i in range(count)], current, [10.0] * count), "label")
    assert drawn.count("<rect") == 2 * histogram.SHOWN
    assert "label-7<" in drawn
    assert "label-20<" in drawn
    assert f"and {count - histogram.SHOWN} others" in drawn
