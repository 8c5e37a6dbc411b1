"""Where the model of a run comes from and what became of it: images, base model, baseline, verdict, pushed version."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import Artifact

from components.card.names import model_identity
from components.gate.pusher import PUSH_DIRECTORY, Push
from components.gate.result import Result
from components.gate.serving import saved_model_digests, versions
from components.ingest.properties import images_in, span_name, span_number
from components.ingest.splits import SPLITS
from components.pages.account import Examples, Step
from pipeline.state.lineage import artifacts_of, output_of
from pipeline.state.why import maker_of, run_of
from trainer.storage.digests import DamageError, read_digests

DIGITS = 8  # of a digest, in a drawing


class Descent(NamedTuple):
    """The lineage of a run."""

    examples: tuple[Examples, ...]  # the oldest span first
    digests: dict[str, str]  # of models, by what they are
    steps: tuple[Step, ...]


def descent(store: MetadataStore, nodes: Mapping[str, mlmd.Execution]) -> Descent:
    """Returns the lineage of the run with these executions, by node. Its pusher has ended.

    Raises:
      IncompleteRunError: a node has no result.
    """
    trainer, pusher = nodes["Trainer"], nodes["AtomicPusher"]
    maker = maker_of(store, trainer) or trainer  # whose base model counts, if an earlier run trained the model
    model = output_of(store, trainer, "model")
    (base,) = _inputs(store, maker, "base_model")[:1] or (None,)
    (baseline,) = _inputs(store, nodes["Evaluator"], "baseline_model")[:1] or (None,)
    pushed = output_of(store, pusher, "pushed_model")
    push = Push.read(pushed)
    version = push.pushed_to or push.unchanged
    pushed_from = pusher.custom_properties[PUSH_DIRECTORY].string_value
    known = dict(_known(pushed_from))
    digests = {"model": _digest(model), "base model": _digest(base), "baseline": _digest(baseline)}
    if version:
        digests["pushed version"] = _digest_of(version)
    examples = tuple(_examples(sorted(_inputs(store, pusher, "examples"), key=span_number)))
    steps = (
        _images(examples),
        Step("Trainer", _trained(store, trainer, maker), _model("Base model", base, known) if base else None),
        Step("Model", _short(digests["model"])),
        Step("Verdict", _verdict(pushed), _model("Baseline", baseline, known) if baseline else None),
        _pushed(push),
    )
    return Descent(examples, {name: digest for name, digest in digests.items() if digest}, steps)


def _examples(artifacts: Iterable[Artifact]) -> Iterator[Examples]:
    for found in artifacts:
        images = {split: images_in(found, split) for split in SPLITS}
        yield Examples(span_name(found), images, _digest_of(found.uri))


def _images(examples: tuple[Examples, ...]) -> Step:
    total = (f"{sum(one.images[split] for one in examples):,} {split}" for split in SPLITS)
    spans = [one.span for one in examples if one.span]
    window = [f"{len(spans)} spans", f"from {spans[0]}", f"to {spans[-1]}"] if len(spans) > 1 else spans
    digest = _short(examples[0].digest) if len(examples) == 1 else ()
    return Step("Images", (*window, *total, *digest))


def _trained(store: MetadataStore, trainer: mlmd.Execution, maker: mlmd.Execution) -> tuple[str, ...]:
    return ("trained in this run",) if maker.id == trainer.id else ("reused, trained by", run_of(store, maker))


def _model(title: str, artifact: Artifact, known: Mapping[str, int]) -> Step:
    digest = _digest(artifact)
    version = (f"version {known[digest]}",) if digest in known else ()
    return Step(title, (*version, *(_short(digest) or ("removed since",))))


def _verdict(pushed: Artifact) -> tuple[str, ...]:
    result = Result.read(pushed.mlmd_artifact.custom_properties)
    number = (f"ELBO {result.elbo:.2f} nats",) if result.elbo is not None else ()
    return ("blessed" if result.blessed else "refused", *number)


def _pushed(push: Push) -> Step:
    if push.pushed_to:
        damaged = (f"{os.path.basename(push.damaged)},", "served before, was damaged") if push.damaged else ()
        return Step(f"Version {os.path.basename(push.pushed_to)}", ("pushed by this run", *damaged))
    if push.unchanged:
        return Step(f"Version {os.path.basename(push.unchanged)}", ("already this model",))
    return Step("Nothing pushed")


def _known(push_directory: str) -> Iterator[tuple[str, int]]:
    """Yields the digest of each version that is there, with its number; the newest of equal ones last."""
    for version in versions(push_directory):
        if digest := _digest_of(os.path.join(push_directory, str(version))):
            yield digest, version


def _digest(model: Artifact | None) -> str:
    """Returns the digest of a Model's SavedModel, as that of a pushed version; empty if it was removed."""
    if model is None:
        return ""
    try:
        return model_identity(saved_model_digests(model.uri))
    except DamageError:
        return ""


def _digest_of(folder: str) -> str:
    """Returns the recorded digest of `folder`; empty if the record is missing or damaged."""
    try:
        return model_identity(read_digests(folder))
    except DamageError:
        return ""


def _short(digest: str) -> tuple[str, ...]:
    return (f"digest {digest[:DIGITS]}",) if digest else ()


def _inputs(store: MetadataStore, execution: mlmd.Execution, key: str) -> list[Artifact]:
    return artifacts_of(store, execution, mlmd.Event.INPUT).get(key, [])
