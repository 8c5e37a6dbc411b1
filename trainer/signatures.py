"""The signatures of an exported model, as documented: what a client sends and receives."""

from typing import NamedTuple


class Tensor(NamedTuple):
    """The type of an input or an output."""

    dtype: str  # TensorFlow's name
    sizes: str = ""  # one letter a dimension: B images, H, W and C of an image, L latents; a scalar has none


class Signature(NamedTuple):
    """A function that a client calls by name."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


ENCODED, PIXELS, LATENTS = Tensor("string", "B"), Tensor("uint8", "BHWC"), Tensor("float32", "BL")
NUMBERS = dict.fromkeys(("elbo", "reconstruction", "kl", "independent_pixels", "ceiling"), Tensor("float32", "B"))

SIGNATURES = {
    "evaluate": Signature({"examples": ENCODED}, {**NUMBERS, "fingerprint": Tensor("int64", "B")}),
    "reconstruct": Signature({"images": ENCODED}, {"images": PIXELS}),
    "reconstruct_pixels": Signature({"images": PIXELS}, {"images": PIXELS}),
    "encode": Signature({"images": ENCODED}, {"latents": LATENTS}),
    "encode_pixels": Signature({"images": PIXELS}, {"latents": LATENTS}),
    "decode": Signature({"latents": LATENTS}, {"images": PIXELS}),
    "sample": Signature({"n": Tensor("int32"), "seed": Tensor("int32")}, {"images": PIXELS}),
    "sample_at_temperature": Signature(
        {"n": Tensor("int32"), "seed": Tensor("int32"), "temperature": Tensor("float32")}, {"images": PIXELS}
    ),
    "serving_default": Signature({"images": ENCODED}, {"images": PIXELS}),
}
