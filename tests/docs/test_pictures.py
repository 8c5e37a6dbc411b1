"""The committed pictures are those that the code gives, and are legible."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from documents import REPOSITORY

from scripts.docs.deployment import read_deployment
from scripts.docs.flow import Edge, chain, read_flow, reduced
from scripts.docs.pictures import FOLDER, pictures
from scripts.docs.svg import width_of

SMALLEST = 10  # pixels of a font
NAMES = ("flow-wide.svg", "flow-narrow.svg", "cluster-wide.svg", "cluster-narrow.svg")
WIDTHS = {"wide": 720, "narrow": 328}  # a telephone of 360 pixels, without the margins of a page


@pytest.fixture(scope="module")
def drawn():
    return pictures()


@pytest.fixture(scope="module")
def found():
    return read_flow()


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_what_the_code_gives(name, drawn):
    assert (REPOSITORY / FOLDER / name).read_text() == drawn[name], "python -m scripts.docs.pictures draws them again"


def test_the_picture_of_a_run_has_every_node(drawn, found):
    texts = [element.text for element in ElementTree.fromstring(drawn["flow-wide.svg"]).iter()]
    assert [node.name for node in found.nodes if node.name not in texts] == []
    assert len(found.nodes) == 13


def test_the_longest_way_is_the_models(found):
    assert chain(found)[-5:] == ["Trainer", "ServingCheck", "Evaluator", "AtomicPusher", "Report"]


def test_what_a_longer_way_brings_is_left_out():
    artifacts = [Edge("a", "b", ("x",)), Edge("b", "c", ("y",)), Edge("a", "c", ("x",))]
    order = [Edge("a", "b", ()), Edge("a", "c", ()), Edge("d", "c", ()), Edge("d", "a", ())]
    assert reduced(artifacts, order) == [*artifacts[:2], order[3]]


def test_the_trainer_alone_uses_the_api():
    deployment = read_deployment()
    users = [pod.name for pod in deployment.workloads if "Kubernetes API" in pod.uses]
    assert users == ["pod of the task train"]
    assert {pod.name: pod.uses for pod in deployment.workloads}["Deployment vaeiaf-serving"] == {"volume": False}


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_legible(name, drawn):
    root = ElementTree.fromstring(drawn[name])
    width = float(root.get("width"))
    assert width == WIDTHS[name.removesuffix(".svg").split("-")[1]]
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        size, start = float(text.get("font-size")), float(text.get("x"))
        length = width_of(text.text, size, "bold" in text.get("class"))
        assert size >= SMALLEST
        left = {"start": start, "middle": start - length / 2, "end": start - length}[text.get("text-anchor")]
        assert left >= 0, text.text
        assert left + length <= width, text.text


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_follows_the_theme(name, drawn):
    style = re.search(r"<style>(.*)</style>", drawn[name], re.DOTALL).group(1)
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    for rule in (".card", "text", ".dim", ".box", ".line"):
        assert f"{rule} {{" in light
        assert f"{rule} {{" in dark
    used = set(re.findall(r'class="([\w ]+)"', drawn[name]))
    assert {word for classes in used for word in classes.split() if f".{word} {{" not in light} == set()
