"""Runs over spans that arrive one after another, in one state directory."""

import collections
import pathlib
import shutil

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import artifact_utils

from components.gate.serving import versions
from components.ingest.properties import span_name
from pipeline.state.executions import executions_of
from pipeline.state.lineage import artifacts_of
from pipeline.state.spans import span_run, window_of
from series import Series, gradients, report, took
from trainer import exit_codes

pytestmark = pytest.mark.slow

COMPLETE, CACHED = mlmd.Execution.COMPLETE, mlmd.Execution.CACHED
OF_SPAN = ("ImageExampleGen", "StatisticsGen", "StrictExampleValidator")


class Nights(Series):
    """A series on spans of 16x16 images."""

    def __init__(self, root, photos, capfd):
        super().__init__(root, photos, capfd, data=f"{photos}/{{YYYY}}-{{MM}}-{{DD}}")
        self.photos = photos
        self._seen: set[str] = set()

    def arrive(self, day, count=70, shape=(16, 16, 3), first_seed=None):
        """Makes a span of images that no other one has."""
        folder = self.photos / f"2026-01-{day:02}"
        for name, image, label in gradients("x", count, first_seed or 1000 * day, shape):
            path = folder / f"c{label % 2}" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
        return folder

    def night(self, *arguments):
        """Runs; returns exit code, console, and the state of the last execution of each node, by span."""
        code, console = self.run("--span-age-minutes=0", *arguments)
        return code, console, self.states()

    def states(self):
        """The state of each node of the last run; nodes of spans by (node, day)."""
        with self.metadata as handle:
            store = handle.store
            run = self.last_run(store)
            found = {name: execution.last_known_state for name, execution in executions_of(store, run).items()}
            for span in window_of(store, run):
                for name, execution in executions_of(store, span_run(run, span)).items():
                    found[name, int(span.name[-2:])] = execution.last_known_state
        return found

    def last_run(self, store):
        runs = [context for context in store.get_contexts_by_type("pipeline_run") if ".span-" not in context.name]
        return max(runs, key=lambda context: context.id).name

    def inputs(self, node):
        """The days of the spans that `node` read in the last run."""
        with self.metadata as handle:
            execution = executions_of(handle.store, self.last_run(handle.store))[node]
            examples = artifacts_of(handle.store, execution, mlmd.Event.INPUT)["examples"]
        return sorted(int(span_name(artifact)[-2:]) for artifact in examples)

    @property
    def pushed(self):
        return pathlib.Path(self.root, "pushed/vaeiaf-photos")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder in which the tests of this module leave their state to the next."""
    return tmp_path_factory.mktemp("nights")


@pytest.fixture
def nights(kept, capfd):
    return Nights(kept / "root", kept / "photos", capfd)


def ingested(states):
    """The days whose images were read in this run, not taken from the cache."""
    assert {states[name, day] for name, day in of_spans(states)} <= {COMPLETE, CACHED}
    return {day for name, day in of_spans(states) if states[name, day] == COMPLETE and name in OF_SPAN}


def of_spans(states):
    return [key for key in states if isinstance(key, tuple)]


def test_a_night_costs_the_ingestion_of_its_own_span(nights):
    nights.arrive(1)
    code, console, states = nights.night("--spans=2")
    assert (code, ingested(states), nights.inputs("Trainer")) == (exit_codes.DONE, {1}, [1])
    assert "no blessed model yet" in console

    nights.arrive(3)
    nights.arrive(4, count=1)
    (nights.photos / "2026-01-04/c1").mkdir(exist_ok=True)
    shutil.rmtree(nights.photos / "2026-01-04/c0")  # the day before: still empty
    code, console, states = nights.night("--spans=2")
    assert (code, ingested(states)) == (exit_codes.DONE, {3})
    assert {states[name, 1] for name in OF_SPAN} == {CACHED}
    for node in ("Transform", "Trainer", "Evaluator", "AtomicPusher", "Report"):
        assert nights.inputs(node) == [1, 3], node
    assert "span 2026-01-04 is skipped: it is empty" in console
    assert "starting from the weights of" in console
    assert "Last blessed model" in console
    assert "Spans, the oldest first: 2026-01-01, 2026-01-03." in report(console)
    shutil.rmtree(nights.photos / "2026-01-04")


def test_without_a_new_span_nothing_is_trained_and_the_run_says_so(nights):
    code, console, states = nights.night("--spans=2")
    assert (code, ingested(states), states["Trainer"]) == (exit_codes.DONE, set(), CACHED)
    version = versions(str(nights.pushed))[-1]
    assert (
        "Nothing is new, so nothing was trained: the newest complete span is 2026-01-03, and its model is served as "
        f"version {version}."
    ) in console


def test_a_refusal_is_told_once(nights):
    nights.arrive(5)
    gate = ("--spans=2", "--min-elbo=0")
    code, console, states = nights.night(*gate)
    assert (code, ingested(states), nights.inputs("Evaluator")) == (exit_codes.REFUSED, {5}, [3, 5])
    code, again, states = nights.night(*gate)
    assert (code, states["Trainer"], states["Evaluator"]) == (exit_codes.DONE, CACHED, CACHED)
    assert "the newest complete span is 2026-01-05, and its model was refused before." in again
    refusals = [line for line in console.splitlines() if line.startswith("REFUSED: ")]
    assert refusals
    assert [line for line in again.splitlines() if line.startswith("REFUSED: ")] == refusals
    code, _, states = nights.night("--spans=2")  # the gate is another one, so it decides anew
    assert (code, states["Trainer"], states["Evaluator"]) == (exit_codes.DONE, CACHED, COMPLETE)


def test_a_span_that_changes_and_one_that_is_damaged_are_ingested_again_and_no_other(nights):
    shutil.copytree(nights.photos / "2026-01-05/c0", nights.photos / "2026-01-05/c2")  # the same images in other files
    code, _, states = nights.night("--spans=2")
    assert (code, ingested(states)) == (exit_codes.DONE, {5})

    with nights.metadata as handle:
        store = handle.store
        run = nights.last_run(store)
        (old, _) = window_of(store, run)
        execution = executions_of(store, span_run(run, old))["ImageExampleGen"]
        (examples,) = artifacts_of(store, execution, mlmd.Event.OUTPUT)["examples"]
    file = next(pathlib.Path(artifact_utils.get_split_uri([examples], "train")).glob("*"))
    file.write_bytes(file.read_bytes()[:-9])
    code, console, states = nights.night("--spans=2")
    assert (code, states["ImageExampleGen", 3], states["ImageExampleGen", 5]) == (exit_codes.DONE, COMPLETE, CACHED)
    assert "an earlier result is damaged" in console
    assert took(console, "Trainer") == "cached", "the images are the same"


def test_spans_of_other_shapes_are_refused_and_one_that_is_removed_leaves_the_window(nights):
    folder = nights.arrive(6, count=30, shape=(8, 16, 3))
    code, console, _ = nights.night("--spans=2")
    assert code == exit_codes.BAD_INPUT
    assert "2026-01-05 (16x16x3)" in console
    shutil.rmtree(folder)
    shutil.rmtree(nights.photos / "2026-01-05")
    code, _, states = nights.night("--spans=2")
    assert (code, ingested(states), nights.inputs("Trainer")) == (exit_codes.DONE, set(), [1, 3])


def test_an_image_is_on_one_side_in_every_span_and_its_id_names_its_span(nights):
    nights.arrive(7, first_seed=3000)  # the images of the third
    assert nights.night("--spans=1")[0] == exit_codes.DONE
    sides = collections.defaultdict(set)
    with nights.metadata as handle:
        for execution in handle.store.get_executions_by_type("components.ingest.example_gen.ImageExampleGen"):
            for artifact in artifacts_of(handle.store, execution, mlmd.Event.OUTPUT)["examples"]:
                if span_name(artifact) in ("2026-01-03", "2026-01-07"):
                    for split in ("train", "test"):
                        for name in ids(artifact, split):
                            assert name.startswith(span_name(artifact) + "/c")
                            sides[name.partition("/")[2]].add(split)
    assert len(sides) == 70
    assert all(len(found) == 1 for found in sides.values())


def ids(examples, split):
    import tensorflow as tf

    files = tf.io.gfile.glob(f"{artifact_utils.get_split_uri([examples], split)}/*")
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        yield tf.train.Example.FromString(record).features.feature["id"].bytes_list.value[0].decode()


@pytest.mark.parametrize("arguments", [["--span-age-minutes=999"], ["--span-marker=_SUCCESS"]])
def test_without_a_complete_span_the_run_is_one_sentence(nights, arguments):
    code, console = nights.run(*arguments)
    assert code == exit_codes.BAD_INPUT
    (sentence,) = [line for line in console.splitlines() if line.startswith("vaeiaf: ")]
    assert "2026-01-07" in sentence
    assert "ImageExampleGen" not in console
