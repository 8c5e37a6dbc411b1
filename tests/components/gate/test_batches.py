import apache_beam as beam
import pyarrow as pa
import pytest
import tensorflow_model_analysis as tfma
from tfx.types import standard_artifacts

from components.gate.batches import LARGEST, divided
from evaluator import evaluate, write_examples
from toy_data import png, serialized

COUNT = 13
SIZES = {2**power for power in range(8)}


def sizes_and_rows(count):
    """The sizes of the parts of a batch of `count`, and their rows."""
    whole = {tfma.ARROW_RECORD_BATCH_KEY: pa.RecordBatch.from_pydict({"row": list(range(count))}), "other": 7}
    parts = list(divided(whole))
    assert all(part["other"] == 7 for part in parts)
    rows = [row for part in parts for row in part[tfma.ARROW_RECORD_BATCH_KEY]["row"].to_pylist()]
    return [part[tfma.ARROW_RECORD_BATCH_KEY].num_rows for part in parts], rows


@pytest.mark.parametrize("count", [0, 1, 2, 3, 127, 128, 129, 1000])
def test_a_batch_is_divided_into_few_sizes_and_no_row_is_lost(count):
    sizes, rows = sizes_and_rows(count)
    assert rows == list(range(count))
    assert set(sizes) <= SIZES
    assert max(SIZES) == LARGEST


def test_the_evaluation_divides_its_batches(exported, tmp_path, monkeypatch):
    def noted(extracts):
        """Notes sizes in a file, because Beam's worker gets a copy of this function."""
        with open(tmp_path / "sizes", "a") as file:
            file.write(f"{extracts[tfma.ARROW_RECORD_BATCH_KEY].num_rows}\n")
        return extracts

    theirs, note = tfma.default_extractors, tfma.extractors.Extractor("Note", beam.Map(noted))
    monkeypatch.setattr(tfma, "default_extractors", lambda **arguments: [note, *theirs(**arguments)])
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "model")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/Format-Serving").symlink_to(exported)
    records = [serialized(f"id_{i:03d}", png(i), 0) for i in range(COUNT)]
    _, verdict = evaluate(tmp_path, write_examples(tmp_path / "examples", records), model)
    sizes = [int(line) for line in (tmp_path / "sizes").read_text().splitlines()]
    assert sum(sizes) == verdict.candidate["images"] == COUNT
    assert set(sizes) <= SIZES
