"""The rules of a served model, on answers that break one of them each."""

import copy

import numpy as np
import pytest

from components.gate.serving_process import Observed
from components.gate.serving_rules import NATS, answers, elbo_difference, interface
from trainer.shape import Shape
from trainer.signatures import SIGNATURES
from trainer.warmup import BATCHES, Exchange

SHAPE, LATENTS = Shape(4, 5, 3), 2
SIZES = {**dict(zip("HWC", SHAPE, strict=True)), "L": LATENTS}


def array(tensor, images):
    """Numbers of this type, which are the same for the first image of any number of images."""
    sizes = [SIZES.get(letter, images) for letter in tensor.sizes]
    count = int(np.prod(sizes, dtype=int))
    if tensor.dtype == "string":
        return np.array([b"image"] * count, object)
    return np.arange(1, count + 1).reshape(sizes).astype(tensor.dtype)


def exchange(name, images):
    inputs, outputs = ({key: array(it, images) for key, it in side.items()} for side in SIGNATURES[name])
    return Exchange(name, {**inputs, "n": np.int32(images)} if "n" in inputs else inputs, outputs)


def described(side):
    return {key: [it.dtype, [SIZES.get(letter) for letter in it.sizes]] for key, it in side.items()}


@pytest.fixture
def expected():
    return [exchange(name, images) for name in SIGNATURES for images in BATCHES]


@pytest.fixture
def observed(expected):
    """What a process finds of a model without faults."""
    signatures = {name: {side: described(it) for side, it in SIGNATURES[name]._asdict().items()} for name in SIGNATURES}
    turns = [[copy.deepcopy(one.outputs) for one in expected] for _ in range(2)]
    return Observed(signatures, turns, {}, 1.0)


def test_a_model_without_faults_has_the_interface_and_the_answers(observed, expected):
    assert interface(observed, expected, SHAPE) == []
    assert answers(observed, expected) == []
    assert elbo_difference(observed, expected) == 0.0


INTERFACES = {
    "a missing signature": (lambda found: found.pop("encode"), "the model has no signature encode"),
    "another dtype": (
        lambda found: found["encode"]["outputs"].update(latents=["float64", [None, 2]]),
        "the outputs of the signature encode are latents float64 [None, 2], not latents float32 [B, L] as documented",
    ),
    "another shape": (
        lambda found: found["sample"]["outputs"].update(images=["uint8", [None, 60]]),
        "the outputs of the signature sample are images uint8 [None, 60], not images uint8 [B, 4, 5, 3] as documented",
    ),
    "another size": (
        lambda found: found["encode_pixels"]["inputs"].update(images=["uint8", [None, 5, 4, 3]]),
        "the inputs of the signature encode_pixels are images uint8 [None, 5, 4, 3], not images uint8 [B, 4, 5, 3] as "
        "documented",
    ),
    "another name": (
        lambda found: found["reconstruct"].update(inputs={"image": ["string", [None]]}),
        "the inputs of the signature reconstruct are image string [None], not images string [B] as documented",
    ),
    "a fixed batch": (
        lambda found: found["reconstruct"].update(inputs={"images": ["string", [1]]}),
        "the inputs of the signature reconstruct are images string [1], not images string [B] as documented",
    ),
}


@pytest.mark.parametrize("fault", INTERFACES)
def test_names_dtypes_and_shapes_are_the_documented_ones(fault, observed, expected):
    change, reason = INTERFACES[fault]
    change(observed.signatures)
    assert interface(observed, expected, SHAPE) == [reason]


def test_every_signature_needs_a_request_of_one_image_and_of_several(observed, expected):
    del expected[1]
    (reason,) = interface(observed, expected, SHAPE)
    assert reason == "the model carries no warm-up request of the signature evaluate with 4 images"


def place(expected, name, images):
    """Returns which of the requests it is."""
    return [(one.signature, len(next(iter(one.outputs.values())))) for one in expected].index((name, images))


def spoil(observed, expected, name, output, by, images=4, turns=(0, 1), at=-1):
    """Adds `by` to one number of an output, the last one."""
    for turn in turns:
        answer = observed.answers[turn][place(expected, name, images)][output]
        answer.flat[at] = answer.flat[at].item() + by


@pytest.mark.parametrize(
    ("name", "output", "allowed", "wrong"),
    [
        ("reconstruct", "images", 1, 2),
        ("sample", "images", 1, 2),
        ("encode", "latents", 0.007, 0.009),  # of a largest latent of 8
        ("evaluate", "elbo", 3.9 * NATS, 4.1 * NATS),  # of a largest number of 4
        ("evaluate", "fingerprint", 0, 1),
        ("evaluate", "kl", 0.0, np.nan),
        ("encode", "latents", 0.0, np.inf),
    ],
)
def test_an_answer_is_the_trainers_within_the_tolerance(name, output, allowed, wrong, observed, expected):
    spoil(observed, expected, name, output, allowed)
    assert answers(observed, expected) == []
    spoil(observed, expected, name, output, wrong)
    (reason,) = answers(observed, expected)
    assert reason.startswith(f"the signature {name} of 4 images differs from the trainer in {output}")


def test_an_answer_of_another_shape_is_refused(observed, expected):
    of = observed.answers[0][place(expected, "sample", 4)]
    of["images"] = of["images"][:3]
    assert answers(observed, expected) == [
        "the signature sample of 4 images differs from the trainer in images: uint8 [3, 4, 5, 3] instead of "
        "uint8 [4, 4, 5, 3]"
    ]


def test_an_answer_repeats(observed, expected):
    spoil(observed, expected, "sample", "images", 2, turns=[1])
    assert answers(observed, expected) == [
        "the signature sample does not repeat its answer in images by up to 2; 1 is allowed"
    ]


def test_an_answer_does_not_depend_on_the_other_images(observed, expected):
    """Each answer is within the tolerance of the trainer's."""
    spoil(observed, expected, "sample", "images", 1, images=1, at=0)
    spoil(observed, expected, "sample", "images", -1, at=0)
    assert answers(observed, expected) == [
        "the signature sample depends on the number of images in images by up to 2; 1 is allowed"
    ]


@pytest.mark.parametrize("other", ["reconstruct_pixels", "serving_default"])
def test_the_forms_of_a_signature_agree(other, observed, expected):
    for images in BATCHES:
        spoil(observed, expected, "reconstruct", "images", 1, images)
        spoil(observed, expected, other, "images", -1, images)
    reason = f"the signatures reconstruct and {other} disagree about the same images in images by up to 2; 1 is allowed"
    assert answers(observed, expected) == [reason]


def test_the_difference_of_the_elbo_is_the_largest_of_an_image(observed, expected):
    spoil(observed, expected, "evaluate", "elbo", 0.5)
    assert elbo_difference(observed, expected) == 0.5
