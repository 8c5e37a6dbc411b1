"""The clients in the documents, which get from a server what the model answers."""

import json
import re
import shutil

import numpy as np
import pytest
import requests
import tensorflow as tf
from documents import REPOSITORY, blocks
from model_server import ModelServer, Ports

from cards import CARD
from components.gate.publish import STAGING, publish
from components.gate.serving import LOCK
from scripts.docs.clients import grpc, rest
from toy_data import png, serialized
from trainer.export import Servable, save
from trainer.images import preprocessing
from trainer.model.build import build
from trainer.model.likelihoods.pixels import PixelModel
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.signatures import SIGNATURES
from trainer.storage.digests import compute_digests
from trainer.units import Units
from trainer.warmup import BATCHES, FILE

PAGE = REPOSITORY / "docs" / "howto" / "serving.md"
SHAPE = Shape(6, 7, 3)
CLIENTS = [block.text for block in blocks(PAGE) if block.language == "python"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of an exported model."""
    folder = str(tmp_path_factory.mktemp("export") / "model")
    config = TrainConfig(hidden_size=4, latent_size=2, iaf_hidden_size=4, eval_samples=2)
    moments = PixelModel(*(tf.fill([SHAPE.size], 0.5) for _ in PixelModel._fields))
    servable = Servable(build(config, SHAPE), moments, 2, preprocessing(SHAPE), SHAPE)
    save(servable, Units.of(config, SHAPE), folder, [serialized(f"id_{i}", png(i, SHAPE), 0) for i in range(3)])
    return folder


@pytest.fixture(scope="module")
def base(model, tmp_path_factory):
    """A push directory with two versions, and with what the pusher leaves beside them."""
    base = tmp_path_factory.mktemp("pushed")
    (base / LOCK).touch()
    (base / f"{STAGING}x/model").mkdir(parents=True)
    (base / "1.damaged-x").mkdir()
    for _ in range(2):
        publish(model, compute_digests(model), str(base), CARD)
    return base


@pytest.fixture(scope="module")
def server(base):
    return ModelServer(base)


@pytest.fixture(scope="module")
def ports(server):
    with Ports(server) as ports:
        yield ports


def answers_of(code, ports, folder, monkeypatch):
    """What the code of the page gets from the emulator."""
    (folder / "image.png").write_bytes(png(9, SHAPE))
    monkeypatch.chdir(folder)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert "localhost:8501" in code or "localhost:8500" in code
    code = code.replace("localhost:8501", f"127.0.0.1:{ports.rest}").replace(
        "localhost:8500", f"127.0.0.1:{ports.grpc}"
    )
    names = {}
    exec(code, names)
    return names["answers"]


def expected_of(model):
    """What the signatures answer to the inputs of the page."""
    image = png(9, SHAPE)
    example = serialized("a name, which seeds the noise of its ELBO", image, 0)
    pixels = {"images": tf.io.decode_image(image)[None]}
    given = {"images": tf.constant([image]), "examples": tf.constant([example])}
    given |= {"n": tf.constant(4), "seed": tf.constant(0), "temperature": tf.constant(0.7)}
    signatures = tf.saved_model.load(model).signatures
    given |= signatures["encode"](images=given["images"])  # latents
    answers = {}
    for name, signature in SIGNATURES.items():
        chosen = {key: (pixels if it.dtype == "uint8" else given)[key] for key, it in signature.inputs.items()}
        answers[name] = {key: value.numpy() for key, value in signatures[name](**chosen).items()}
    return answers


def assert_same(found, expected):
    assert set(found) == set(expected) == set(SIGNATURES)
    for name, outputs in expected.items():
        answer = found[name] if isinstance(found[name], dict) else {next(iter(outputs)): found[name]}
        assert set(answer) == set(outputs), name
        for key, value in outputs.items():
            if key == "fingerprint":
                continue  # of the Example's bytes, which have no order of features
            np.testing.assert_allclose(np.array(answer[key]), value, rtol=1e-5, atol=1e-3, err_msg=name)


def test_the_clients_on_the_page_are_those_of_the_signatures():
    assert [rest(), grpc()] == CLIENTS, "python -m scripts.docs.clients prints them"


@pytest.mark.parametrize("client", CLIENTS, ids=["REST", "gRPC"])
def test_a_client_gets_the_answer_of_every_signature(client, model, ports, tmp_path, monkeypatch):
    assert_same(answers_of(client, ports, tmp_path, monkeypatch), expected_of(model))


def test_the_first_request_on_the_page_gets_samples(ports):
    (body,) = re.findall(r"curl -d '(.*?)' localhost:8501(/v1/\S+)", PAGE.read_text())
    answer = requests.post(f"http://127.0.0.1:{ports.rest}{body[1]}", data=body[0], timeout=60)
    assert np.shape(answer.json()["outputs"]) == (4, *SHAPE)


def test_the_server_warms_up_the_newest_version_and_follows_the_next(model, base):
    server = ModelServer(base)
    assert server.version == max(int(path.name) for path in base.iterdir() if path.name.isdigit())
    assert server.loaded.warmed_up == len(SIGNATURES) * len(BATCHES)
    pushed = publish(model, compute_digests(model), str(base), CARD)
    server.poll()
    assert str(base / str(server.version)) == pushed


def test_a_version_whose_warm_up_fails_is_not_served(model, tmp_path):
    """That is why the check before a push replays it."""
    shutil.copytree(model, tmp_path / "1")
    shutil.copytree(model, tmp_path / "2")
    server = ModelServer(tmp_path)
    broken = shutil.copytree(model, tmp_path / "3")
    with tf.io.TFRecordWriter(f"{broken}/{FILE}") as writer:
        writer.write(b"no PredictionLog")
    with pytest.raises(Exception):  # noqa: B017, PT011  protobuf's own
        server.poll()
    assert server.version == 2


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/models/vaeiaf:predict", {"inputs": {"images": [{"b64": "bm8gaW1hZ2U="}]}}, 400),
        ("/v1/models/vaeiaf:predict", {"signature_name": "none", "inputs": {}}, 400),
        ("/v1/models/vaeiaf:predict", {"signature_name": "sample", "inputs": {"n": 4}}, 400),
        ("/v1/models/other:predict", {}, 404),
    ],
    ids=["no image", "no signature", "an input too few", "no model"],
)
def test_a_request_that_cannot_be_answered_is_refused(path, body, status, ports):
    answer = requests.post(f"http://127.0.0.1:{ports.rest}{path}", data=json.dumps(body), timeout=60)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_metadata_of_the_server_have_every_signature(ports):
    """The readiness probe of the Deployment asks for them."""
    answer = requests.get(f"http://127.0.0.1:{ports.rest}/v1/models/vaeiaf/metadata", timeout=60).json()
    assert SIGNATURES.keys() <= answer["metadata"]["signature_def"]["signatureDef"].keys()
