"""State directories with runs that took no time: their files and records are as a run leaves them, but tiny."""

import datetime
import functools
import json
import os
import pathlib

from ml_metadata.proto import metadata_store_pb2 as mlmd

from cards import card_with
from components.card.names import model_identity
from components.gate.publish import publish
from components.gate.serving import newest, saved_model_digests, versions
from pipeline.state.database import Database, sqlite_connection
from pipeline.state.store import Store
from trainer.storage.digests import write_digests

PIPELINE = "vaeiaf-toy"
OUTPUTS = {  # of each node: key and type
    "ImageExampleGen": ("examples", "Examples"),
    "Trainer": ("model", "Model"),
    "Evaluator": ("evaluation", "ModelEvaluation"),
    "AtomicPusher": ("pushed_model", "PushedModel"),
    "Report": ("report", "VaeIafReport"),
}


class StateRoot:
    """A state directory, into which `run` writes."""

    def __init__(self, root, pipeline=PIPELINE):
        self.root, self.pipeline = pathlib.Path(root), pipeline
        self.pushed = self.root / "pushed" / pipeline
        self.root.mkdir(parents=True, exist_ok=True)
        self._made = {}  # (node, content) -> artifact
        self._start = datetime.datetime(2026, 1, 1)

    @functools.cached_property
    def store(self):
        return Store(str(self.root), Database(sqlite_connection(str(self.root / "metadata.sqlite"))))

    def run(self, model, elbo=-10.0, refused="", fails=None, stops=None, data="images", parts=None, again=None):
        """Records a run that trained `model`, a text, on `data`; returns its id.

        Equal data and models come from the cache. `fails` and `stops` name the node that failed, or was killed. `parts`
        are those of the Trainer's cache key. `again` is the id of a run that this is another attempt at.
        """
        hours = len(self.store.get_contexts_by_type("pipeline_run"))
        run = again or (self._start + datetime.timedelta(hours=hours)).isoformat()
        contexts = [self._context("pipeline", self.pipeline), self._context("pipeline_run", run)]
        previous = None
        for node in OUTPUTS:
            content = {"ImageExampleGen": data, "Trainer": f"{model} of {data}"}.get(node, f"{node} of {run}")
            broken = mlmd.Execution.FAILED if node == fails else mlmd.Execution.RUNNING if node == stops else None
            of_key = [self._cache(parts)] if parts and node == "Trainer" else []
            previous = self._execute(node, content, [*contexts, *of_key], previous, broken, (elbo, refused))
            if broken:
                break
        return run

    def span(self, run, number, parts):
        """Records that `run` ingested a span, and that the cache key had these parts."""
        contexts = [self._context("pipeline", self.pipeline), self._context("pipeline_run", f"{run}.span-{number}")]
        content = f"span {number} in {run}"
        self._execute("ImageExampleGen", content, [*contexts, self._cache(parts)], None, None, (0.0, ""))

    def compare_data(self, run, sentence):
        """Records a comparison of the data of `run` that found this, in words; empty: no drift."""
        names = [("pipeline", self.pipeline), ("pipeline_run", run), ("node", f"{self.pipeline}.ServingSkew")]
        contexts = [self._context(*name) for name in names]
        kind = self.store.put_artifact_type(mlmd.ArtifactType(name="VaeIafDrift"))
        artifact = mlmd.Artifact(type_id=kind, uri=str(self.root / "drift" / run), state=mlmd.Artifact.LIVE)
        artifact.custom_properties["drift"].string_value = sentence
        node = mlmd.ExecutionType(name="ServingSkew")
        execution = mlmd.Execution(
            type_id=self.store.put_execution_type(node), last_known_state=mlmd.Execution.COMPLETE
        )
        self.store.put_execution(execution, [(artifact, _event(mlmd.Event.OUTPUT, "drift"))], contexts)

    def _execute(self, node, content, contexts, previous, broken, result):
        key, kind = OUTPUTS[node]
        store, cached = self.store, self._made.get((node, content))
        state = broken or (mlmd.Execution.CACHED if cached else mlmd.Execution.COMPLETE)
        execution = mlmd.Execution(
            type_id=store.put_execution_type(mlmd.ExecutionType(name=node)), last_known_state=state
        )
        contexts = [*contexts, self._context("node", f"{self.pipeline}.{node}")]
        inputs = [(previous, _event(mlmd.Event.INPUT, "input"))] if previous else []
        (execution.id, _, _) = store.put_execution(execution, inputs, contexts)
        folder = self.root / "artifacts" / self.pipeline / node / key / str(execution.id)
        if cached is None:
            inner = folder / "Format-Serving" if node == "Trainer" else folder
            inner.mkdir(parents=True)
            (inner / ("index.html" if node == "Report" else "file")).write_text(content)
        if broken:
            return None
        artifact = cached or mlmd.Artifact(
            type_id=store.put_artifact_type(mlmd.ArtifactType(name=kind)), uri=str(folder), state=mlmd.Artifact.LIVE
        )
        if cached is None:
            if node == "AtomicPusher":
                self._push(artifact, *result)
            write_digests(str(folder))
        (_, (artifact.id,), _) = store.put_execution(execution, [(artifact, _event(mlmd.Event.OUTPUT, key))], contexts)
        if node == "Evaluator":
            self._bless(execution, contexts, int(not result[1]))
        if node in ("ImageExampleGen", "Trainer"):
            self._made[node, content] = artifact
        return artifact

    def _bless(self, execution, contexts, blessed):
        kind = self.store.put_artifact_type(mlmd.ArtifactType(name="ModelBlessing"))
        folder = self.root / "artifacts" / self.pipeline / "Evaluator" / "blessing" / str(execution.id)
        folder.mkdir(parents=True)
        write_digests(str(folder))
        blessing = mlmd.Artifact(type_id=kind, uri=str(folder), state=mlmd.Artifact.LIVE)
        blessing.custom_properties["blessed"].int_value = blessed
        blessing.custom_properties["current_model_id"].int_value = self._last_model().id
        self.store.put_execution(execution, [(blessing, _event(mlmd.Event.OUTPUT, "blessing"))], contexts)

    def _push(self, artifact, elbo, refused):
        artifact.custom_properties["blessed"].int_value = int(not refused)
        artifact.custom_properties["elbo"].double_value = elbo
        artifact.custom_properties["elbo_standard_error"].double_value = 0.5
        artifact.custom_properties["reasons"].string_value = refused
        if refused:
            return
        model = self._last_model().uri
        self.pushed.mkdir(parents=True, exist_ok=True)
        digests, served = saved_model_digests(model), newest(str(self.pushed))
        if (
            served
            and (pathlib.Path(served.path) / "file").read_text()
            == pathlib.Path(model, "Format-Serving/file").read_text()
        ):
            artifact.custom_properties["unchanged"].string_value = served.path
        else:
            card = card_with(series=self.pipeline, model=model_identity(digests), figures={"elbo": elbo})
            path = publish(os.path.join(model, "Format-Serving"), digests, str(self.pushed), card)
            artifact.custom_properties["pushed_to"].string_value = path

    def _last_model(self):
        """The model of the newest execution of the Trainer."""
        context = self.store.get_context_by_type_and_name("node", f"{self.pipeline}.Trainer")
        newest_id = max(execution.id for execution in self.store.get_executions_by_context(context.id))
        events = self.store.get_events_by_execution_ids([newest_id])
        (artifact,) = (event.artifact_id for event in events if event.type == mlmd.Event.OUTPUT)
        return self.store.get_artifacts_by_id([artifact])[0]

    def versions(self):
        return versions(str(self.pushed))

    def content(self, version=None):
        """The model of a version, or of the one that is served."""
        return (self.pushed / str(version or self.versions()[-1]) / "file").read_text().partition(" of ")[0]

    def _cache(self, parts):
        """The context of the executions with the cache key of these parts."""
        text = json.dumps(parts, sort_keys=True)
        context = self._context("execution_cache", text)
        context.custom_properties["parts"].string_value = text
        self.store.put_contexts([context])
        return context

    def _context(self, kind, name):
        found = self.store.get_context_by_type_and_name(kind, name)
        if not found:
            found = mlmd.Context(type_id=self.store.put_context_type(mlmd.ContextType(name=kind)), name=name)
            (found.id,) = self.store.put_contexts([found])
        return found


def _event(kind, key):
    event = mlmd.Event(type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = 0
    return event
