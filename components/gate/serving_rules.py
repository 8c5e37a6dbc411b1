"""The rules for the answers of a model that a fresh process has loaded."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from components.gate.serving_process import Observed
from trainer.shape import Shape
from trainer.signatures import SIGNATURES, Tensor
from trainer.warmup import BATCHES, Arrays, Exchange

LEVELS = 1  # of 255, between two computations of an image: float32 may round a pixel either way
LATENTS = 1e-3  # of the largest latent
NATS = 1e-4  # of the largest number of an `evaluate`: 0.2 nats per image where the reconstruction has -2000
SAME = (("reconstruct", "reconstruct_pixels"), ("reconstruct", "serving_default"), ("encode", "encode_pixels"))


def interface(observed: Observed, expected: Sequence[Exchange], shape: Shape) -> list[str]:
    """Returns why the model does not answer as documented: names, dtypes, shapes, and warm-up requests of its own.

    Args:
      observed: what a fresh process found.
      expected: the model's warm-up requests, with the answers of the trained model in memory.
      shape: of its images.
    """
    return [*_signatures(observed.signatures, shape), *_missing(expected)]


def answers(observed: Observed, expected: Sequence[Exchange]) -> list[str]:
    """Returns why the answers are wrong, one sentence a signature; they have the interface.

    They must be finite and those of the trained model, the same when asked again and for any number of images, and the
    two forms of a signature must agree.
    """
    differ = _first(_to_trainer(observed.answers[0], expected))
    if differ:
        return differ
    return [*_first(_to_themselves(observed.answers, expected)), *_first(_forms(observed.answers[0], expected))]


def elbo_difference(observed: Observed, expected: Sequence[Exchange]) -> float:
    """Returns the largest difference of an image's ELBO to the trainer's, in nats."""
    return max(
        _distance(answer["elbo"], exchange.outputs["elbo"])
        for exchange, answer in zip(expected, observed.answers[0], strict=True)
        if exchange.signature == "evaluate"
    )


def _signatures(signatures: dict[str, Any], shape: Shape) -> Iterator[str]:
    """Compares names, dtypes and shapes with the documented ones."""
    known = dict(zip("HWC", shape, strict=True))
    for name, signature in SIGNATURES.items():
        if name not in signatures:
            yield f"the model has no signature {name}"
            continue
        for side, documented in signature._asdict().items():
            found = signatures[name][side]
            fits = {key: _fits(spec, documented.get(key), known) for key, spec in found.items()}
            if set(found) != set(documented) or not all(fits.values()):
                given = ", ".join(f"{key} {dtype} {sizes}" for key, (dtype, sizes) in sorted(found.items()))
                stated = ", ".join(f"{key} {_words(tensor, known)}" for key, tensor in sorted(documented.items()))
                yield f"the {side} of the signature {name} are {given or 'none'}, not {stated} as documented"


def _fits(spec: Sequence[Any], documented: Tensor | None, known: dict[str, int]) -> bool:
    """Tells whether a dtype and sizes are the documented ones: any number of images, and any latents."""
    if documented is None:
        return False
    dtype, sizes = spec
    if dtype != documented.dtype or len(sizes) != len(documented.sizes):
        return False
    return all(
        size is None if letter == "B" else size == known.get(letter, size)
        for size, letter in zip(sizes, documented.sizes, strict=True)
    )


def _words(tensor: Tensor, known: dict[str, int]) -> str:
    return f"{tensor.dtype} [{', '.join(str(known.get(letter, letter)) for letter in tensor.sizes)}]"


def _missing(expected: Sequence[Exchange]) -> Iterator[str]:
    found = {(exchange.signature, _images(exchange)) for exchange in expected}
    for name in SIGNATURES:
        for images in BATCHES:
            if (name, images) not in found:
                yield f"the model carries no warm-up request of the signature {name} with {images} images"


def _first(differences: Iterator[tuple[str, str]]) -> list[str]:
    """Returns the first difference of each signature."""
    found: dict[str, str] = {}
    for name, sentence in differences:
        found.setdefault(name, sentence)
    return list(found.values())


def _to_trainer(found: Sequence[Arrays], expected: Sequence[Exchange]) -> Iterator[tuple[str, str]]:
    """Compares the answers with the trainer's; yields the signature and the difference."""
    for exchange, answer in zip(expected, found, strict=True):
        what = f"the signature {exchange.signature} of {_images(exchange)} images differs from the trainer"
        for sentence in _differences(what, answer, exchange.outputs):
            yield exchange.signature, sentence


def _to_themselves(turns: Sequence[Sequence[Arrays]], expected: Sequence[Exchange]) -> Iterator[tuple[str, str]]:
    """Compares the answers to the same request, and to the same image alone and among others."""
    alone: dict[str, Arrays] = {}
    for exchange, answer, again in zip(expected, *turns, strict=True):
        name = exchange.signature
        for sentence in _differences(f"the signature {name} does not repeat its answer", again, answer):
            yield name, sentence
        single = alone.setdefault(name, answer)  # `BATCHES` begins with one image
        first = {output: array[:1] for output, array in answer.items()}
        for sentence in _differences(f"the signature {name} depends on the number of images", first, single):
            yield name, sentence


def _forms(answers: Sequence[Arrays], expected: Sequence[Exchange]) -> Iterator[tuple[str, str]]:
    """Compares the signatures that take the same images in two forms."""
    by_name = {
        (exchange.signature, _images(exchange)): answer for exchange, answer in zip(expected, answers, strict=True)
    }
    for one, other in SAME:
        for images in BATCHES:
            what = f"the signatures {one} and {other} disagree about the same images"
            for sentence in _differences(what, by_name[one, images], by_name[other, images]):
                yield other, sentence


def _differences(what: str, answer: Arrays, expected: Arrays) -> Iterator[str]:
    for name, wanted in sorted(expected.items()):  # a message of protobuf has no order
        found = answer[name]
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            given, stated = (f"{array.dtype} {list(array.shape)}" for array in (found, wanted))
            yield f"{what} in {name}: {given} instead of {stated}"
        elif not np.all(np.isfinite(found)):
            yield f"{what} in {name}: not all numbers are finite"
        else:
            difference, allowed = _distance(found, wanted), _tolerance(name, expected)
            if not difference <= allowed:  # refuses NaN
                yield f"{what} in {name} by up to {difference:.4g}; {allowed:.4g} is allowed"


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64)), initial=0.0))


def _tolerance(name: str, expected: Arrays) -> float:
    """Returns the allowed difference of an output: of an image, of latents, or of one of several numbers."""
    if name == "images":
        return LEVELS
    if name == "fingerprint":
        return 0.0
    numbers = [part for part in expected.values() if part.dtype.kind == "f"]
    return (LATENTS if name == "latents" else NATS) * float(max(np.max(np.abs(part)) for part in numbers))


def _images(exchange: Exchange) -> int:
    return len(next(iter(exchange.outputs.values())))
