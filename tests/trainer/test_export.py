"""The SavedModel computes what the model computes."""

import dataclasses
import os
import resource

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

import trainer.export
from trainer.carried import read_carried
from trainer.errors import StorageError
from trainer.evaluate import image_elbo
from trainer.export import Servable, save
from trainer.images import decode, noise_seed, pixel_model, preprocessing, to_bytes, to_unit_interval
from trainer.model.build import build
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.signatures import SIGNATURES
from trainer.units import Units, read_units
from trainer.warmup import BATCHES, IMAGES, read_warmup

COUNT, LATENTS, SHAPE = 9, 8, Shape(32, 32, 3)
PARTS = ("elbo", "reconstruction", "kl")


@pytest.fixture(scope="module")
def images(make_images):
    return make_images(COUNT)


@pytest.fixture(scope="module")
def ids():
    return [f"test_{i}" for i in range(COUNT)]


@pytest.fixture(scope="module")
def encoded(images, png):
    return tf.constant([png(image) for image in images.pixels])


@pytest.fixture(scope="module")
def examples(encoded, ids, example):
    return tf.constant([example(image, name) for image, name in zip(encoded.numpy(), ids, strict=True)])


@pytest.fixture(scope="module")
def pixels(images):
    return tf.constant(images.pixels)


@pytest.fixture(
    scope="module", params=["BernoulliMLP", "GaussianResNet", "DiscretizedLogisticMLP", "DiscretizedLogisticLadder"]
)
def config(request, tiny_config):
    encoder = "GaussianLadder" if request.param.endswith("Ladder") else tiny_config.encoder
    sizes = {"channels": 2, "ladder_layers": 1, "latent_channels": 2}
    return dataclasses.replace(tiny_config, encoder=encoder, decoder=request.param, **sizes)


@pytest.fixture(scope="module")
def model(config, scramble):
    return scramble(build(config, SHAPE), scale=0.1 if config.is_ladder else 0.3)


@pytest.fixture(scope="module")
def path(config, model, images, examples, tmp_path_factory):
    """The folder of the saved model."""
    path = str(tmp_path_factory.mktemp("model"))
    servable = Servable(model, pixel_model(images), config.eval_samples, preprocessing(SHAPE), SHAPE)
    save(servable, Units.of(config, SHAPE), path, list(examples.numpy()))
    return path


@pytest.fixture(scope="module")
def signatures(path):
    """The signatures of the model, saved and loaded."""
    loaded = tf.saved_model.load(path)
    yield loaded.signatures
    del loaded  # it owns the variables of its signatures


@pytest.fixture(scope="module")
def evaluated(signatures, examples):
    return {name: part.numpy() for name, part in signatures["evaluate"](examples=examples).items()}


def test_every_signature_takes_any_batch_and_says_its_shapes(signatures, model):
    image, encoded = ((None, 32, 32, 3), tf.uint8), ((None,), tf.string)
    latents, number, scalar = ((None, model.latent_size), tf.float32), ((None,), tf.float32), ((), tf.int32)
    numbers = dict.fromkeys((*PARTS, "independent_pixels", "ceiling"), number) | {"fingerprint": ((None,), tf.int64)}
    expected = {
        "evaluate": ({"examples": encoded}, numbers),
        "reconstruct": ({"images": encoded}, {"images": image}),
        "serving_default": ({"images": encoded}, {"images": image}),
        "reconstruct_pixels": ({"images": image}, {"images": image}),
        "encode": ({"images": encoded}, {"latents": latents}),
        "encode_pixels": ({"images": image}, {"latents": latents}),
        "decode": ({"latents": latents}, {"images": image}),
        "sample": ({"n": scalar, "seed": scalar}, {"images": image}),
        "sample_at_temperature": (
            {"n": scalar, "seed": scalar, "temperature": ((), tf.float32)},
            {"images": image},
        ),
    }
    described = {
        name: tuple(
            {key: (tuple(spec.shape), spec.dtype) for key, spec in specs.items()}
            for specs in (signature.structured_input_signature[1], signature.structured_outputs)
        )
        for name, signature in signatures.items()
    }
    assert described == expected
    sizes = {"B": None, **dict(zip("HWC", SHAPE, strict=True)), "L": model.latent_size}
    assert expected == {
        name: tuple(
            {key: (tuple(sizes[letter] for letter in it.sizes), tf.as_dtype(it.dtype)) for key, it in side.items()}
            for side in signature
        )
        for name, signature in SIGNATURES.items()
    }, "as documented"


def test_a_saved_model_carries_requests_of_every_signature_and_answers_them_as_the_trainer_did(path, signatures):
    found = read_warmup(path)
    assert {(one.signature, len(next(iter(one.outputs.values())))) for one in found} == {
        (name, images) for name in SIGNATURES for images in BATCHES
    }
    for one in found:
        answers = signatures[one.signature](**{name: tf.constant(array) for name, array in one.inputs.items()})
        assert set(answers) == set(one.outputs)
        for name, answer in answers.items():
            expected = one.outputs[name]
            assert (answer.numpy().dtype, answer.shape) == (expected.dtype, expected.shape)
            np.testing.assert_allclose(
                answer.numpy().astype(float), expected, rtol=1e-5, atol=1.0 if name == "images" else 1e-3
            )


def test_the_requests_are_of_the_first_test_images(path, encoded, ids, example):
    (request,) = [one for one in read_warmup(path) if one.signature == "evaluate" and len(one.outputs["elbo"]) > 1]
    assert list(request.inputs["examples"]) == [
        example(image, name) for image, name in zip(encoded.numpy()[:IMAGES], ids, strict=False)
    ]


def test_a_saved_model_says_what_its_elbo_is_measured_in(path, config):
    assert read_units(path) == Units.of(config, SHAPE)


def test_evaluate_is_the_elbo_of_the_same_images_and_ids(model, config, images, ids, evaluated):
    expected = image_elbo(model, to_unit_interval(images.pixels), noise_seed(ids), config.eval_samples)
    for name, part in expected._asdict().items():
        np.testing.assert_allclose(evaluated[name], part, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_evaluate_does_not_depend_on_the_batch(batch_size, signatures, examples, evaluated):
    for start in range(0, COUNT, batch_size):
        rows = slice(start, start + batch_size)
        for name, part in signatures["evaluate"](examples=examples[rows]).items():
            np.testing.assert_allclose(part, evaluated[name][rows], rtol=1e-5, atol=1e-3)


def test_evaluated_elbo_is_reconstruction_less_kl_and_below_its_ceiling(evaluated):
    np.testing.assert_allclose(evaluated["elbo"], evaluated["reconstruction"] - evaluated["kl"], rtol=1e-6, atol=1e-3)
    assert np.all(evaluated["reconstruction"] <= evaluated["ceiling"])
    assert evaluated["elbo"].mean() < evaluated["ceiling"].mean()


def test_a_fingerprint_changes_with_the_id_and_with_the_image(signatures, evaluated, encoded, ids, example):
    prints = lambda *examples: signatures["evaluate"](examples=tf.constant(examples))["fingerprint"].numpy()  # noqa: E731
    (image, other), (name, another) = encoded.numpy()[:2], ids[:2]
    same, new_id, new_image = prints(example(image, name), example(image, another), example(other, name))
    assert len(set(evaluated["fingerprint"])) == COUNT
    assert same == evaluated["fingerprint"][0]
    assert len({same, new_id, new_image}) == 3
    assert min(evaluated["fingerprint"]) >= 0
    assert max(evaluated["fingerprint"]) < 2**31


def test_the_bounds_are_those_of_the_training_images(model, images, evaluated):
    x = images.pixels.reshape(COUNT, -1) / 255.0
    bounds = model.likelihood.independent(pixel_model(images)).log_prob(x.astype(np.float32))
    np.testing.assert_allclose(evaluated["independent_pixels"], bounds, rtol=1e-5)
    np.testing.assert_allclose(evaluated["ceiling"], model.likelihood.ceiling(x), rtol=1e-5)
    if model.likelihood.__name__ == "Bernoulli":
        p = np.clip(x.mean(axis=0), 1e-3, 1.0 - 1e-3)
        expected = (scipy.special.xlogy(x, p) + scipy.special.xlog1py(1.0 - x, -p)).sum(axis=-1)
        np.testing.assert_allclose(evaluated["independent_pixels"], expected, rtol=1e-5)


def test_encode_is_the_posterior_without_noise_and_tells_images_apart(model, signatures, pixels, encoded, images):
    expected = model.joint(to_unit_interval(images.pixels), tf.zeros([COUNT, model.latent_size])).z
    latents = signatures["encode_pixels"](images=pixels)["latents"]
    np.testing.assert_allclose(latents, expected, atol=1e-4)
    np.testing.assert_allclose(signatures["encode"](images=encoded)["latents"], latents, atol=1e-6)
    assert len(np.unique(latents, axis=0)) == COUNT


def test_reconstruct_is_the_mean_image_of_the_posterior_without_noise(model, signatures, pixels):
    centre = model.joint(to_unit_interval(pixels), tf.zeros([COUNT, model.latent_size]))
    expected = tf.reshape(to_bytes(centre.pixels.mean()), pixels.shape)
    images = signatures["reconstruct_pixels"](images=pixels)["images"]
    assert np.abs(images.numpy().astype(int) - expected.numpy()).max() <= 1, "a rounding apart at most"
    assert len(np.unique(images, axis=0)) > 1


def test_latents_decode_to_the_reconstruction(signatures, pixels):
    latents = signatures["encode_pixels"](images=pixels)["latents"]
    expected = signatures["reconstruct_pixels"](images=pixels)["images"]
    np.testing.assert_array_equal(signatures["decode"](latents=latents)["images"], expected)


@pytest.mark.parametrize("name", ["reconstruct", "serving_default"])
def test_encoded_images_are_reconstructed_as_their_pixels_are(name, signatures, pixels, encoded):
    np.testing.assert_array_equal(decode(encoded, SHAPE), pixels)
    images = signatures["reconstruct_pixels"](images=pixels)["images"]
    np.testing.assert_array_equal(signatures[name](images=encoded)["images"], images)


class Mirrored(tf.Module):
    """Another invertible Transform, which mirrors the image."""

    @tf.function
    def __call__(self, features):
        x = tf.reshape(preprocessing(SHAPE)(features)["image"], [-1, 32, 32, 3])
        return {"image": tf.reshape(x[:, :, ::-1], [-1, 3072]), "id": features["id"]}


def test_every_signature_of_images_applies_the_transform_graph(tiny_config, images, pixels, encoded, tmp_path):
    config = dataclasses.replace(tiny_config, iaf_steps=0)
    model = build(config, SHAPE)
    for name, transform in (("plain", preprocessing(SHAPE)), ("mirrored", Mirrored())):
        servable = Servable(model, pixel_model(images), 1, transform, SHAPE)
        save(servable, Units.of(config, SHAPE), str(tmp_path / name))
    plain, mirrored = (tf.saved_model.load(str(tmp_path / name)).signatures for name in ("plain", "mirrored"))
    turned = pixels[:, :, ::-1]
    turned_png = tf.io.encode_png(turned)
    for name, given, turned_given in (
        ("encode_pixels", pixels, turned),
        ("reconstruct_pixels", pixels, turned),
        ("encode", encoded, turned_png),
        ("reconstruct", encoded, turned_png),
        ("serving_default", encoded, turned_png),
    ):
        (result,), (expected,) = mirrored[name](images=given).values(), plain[name](images=turned_given).values()
        np.testing.assert_array_equal(result, expected, err_msg=name)
        assert not np.array_equal(result, next(iter(plain[name](images=given).values()))), name


@pytest.mark.parametrize("n", [1, 6])
def test_a_seed_gives_the_same_images_and_another_others(n, signatures):
    sample = lambda seed: signatures["sample"](n=tf.constant(n), seed=tf.constant(seed))["images"].numpy()  # noqa: E731
    images = sample(0)
    assert images.shape == (n, 32, 32, 3)
    assert len(np.unique(images, axis=0)) == n
    np.testing.assert_array_equal(sample(0), images)
    assert not np.array_equal(sample(1), images)


def test_a_temperature_scales_the_latents_of_the_same_seed(model, signatures):
    def sample(temperature):
        given = {"n": tf.constant(3), "seed": tf.constant(1), "temperature": tf.constant(temperature)}
        return signatures["sample_at_temperature"](**given)["images"].numpy()

    np.testing.assert_array_equal(sample(1.0), signatures["sample"](n=tf.constant(3), seed=tf.constant(1))["images"])
    assert len(np.unique(sample(0.0), axis=0)) == 1, "the mean image of latents 0"
    eps = tf.random.stateless_normal([3, model.latent_size], [1, 0])
    expected = tf.reshape(to_bytes(model.sample(0.5 * eps)), [3, *SHAPE])
    assert np.abs(sample(0.5).astype(int) - expected.numpy()).max() <= 1, "a rounding apart at most"


def test_an_example_without_an_image_is_refused(signatures, example):
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["evaluate"](examples=tf.constant([example(b"not an image", "a")]))


@pytest.fixture(scope="module")
def servable(make_vae, images):
    """A small module to export."""
    model = make_vae(shape=SHAPE, iaf_steps=0, hidden_size=2)
    return Servable(model, pixel_model(images), samples=1, transform=preprocessing(SHAPE), shape=SHAPE)


def test_fewer_images_are_used_again_and_a_model_without_any_has_no_requests(servable, png, example, tmp_path):
    image = example(png(np.zeros(SHAPE, np.uint8)), "only")
    for name, examples in (("one", [image]), ("none", [])):
        save(servable, Units.of(TrainConfig(), SHAPE), str(tmp_path / name), examples)
    found = [list(one.inputs["examples"]) for one in read_warmup(str(tmp_path / "one")) if one.signature == "evaluate"]
    assert found == [[image], [image] * IMAGES]
    assert read_warmup(str(tmp_path / "none")) == []


def test_a_model_carries_the_history_of_its_training(servable, tmp_path):
    history = {"best_epoch": 3, "latents": [{"group": "z", "kl": [0.5, 0.25]}]}
    for name, given in (("with", history), ("without", None)):
        save(servable, Units.of(TrainConfig(), SHAPE), str(tmp_path / name), history=given)
        assert read_carried(str(tmp_path / name)) == given


def test_no_images_are_a_batch_too(servable):
    assert servable.reconstruct_pixels(tf.zeros([0, 32, 32, 3], tf.uint8))["images"].shape == (0, 32, 32, 3)


def test_a_model_appears_when_it_is_whole(servable, tmp_path, monkeypatch):
    seen, write = [], trainer.export.write_units
    monkeypatch.setattr(
        trainer.export, "write_units", lambda units, path: (write(units, path), seen.append(os.listdir(tmp_path)))
    )
    save(servable, Units.of(TrainConfig(), SHAPE), str(tmp_path / "model"))
    assert [[name.split(".")[0] for name in names] for names in seen] == [["unfinished"]], "all but the name was there"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("before", [True, False])
def test_a_model_that_cannot_be_written_leaves_what_there_was(before, servable, tmp_path):
    if before:
        (tmp_path / "model").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # of a file, as if the disk were full
    try:
        with pytest.raises(StorageError) as error:
            save(servable, Units.of(TrainConfig(), SHAPE), str(tmp_path / "model"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.failure.value == str(tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"] * before
