"""Laws of the image that hold without building it; tests/containers runs it."""

import ast
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.train.code import sources

ROOT = pathlib.Path(__file__).parents[3]
OURS = {"kubeflow", "pipeline", "components", "trainer"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "kubeflow/deploy/Dockerfile").read_text()


def imports(folder):
    """Packages that the sources in the folder import, but for Python's own and ours."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
    return found - OURS - sys.stdlib_module_names


def installed_with(texts):
    """What comes with these requirements, by the metadata of what is installed here."""
    found, waiting = set(), [Requirement(text) for text in texts]
    while waiting:
        requirement = waiting.pop()
        seen = {(canonicalize_name(requirement.name), extra) for extra in ("", *requirement.extras)} - found
        found |= seen
        for _, extra in seen:
            wanted = map(Requirement, importlib.metadata.requires(requirement.name) or [])
            waiting += [want for want in wanted if not want.marker or want.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def locked(path):
    """Version by name."""
    return dict(re.findall(r"^(\S+)==(\S+)", (ROOT / path).read_text(), re.MULTILINE))


def test_all_that_the_sources_import_is_in_the_image():
    present = installed_with(PROJECT["project"]["dependencies"])
    distributions = importlib.metadata.packages_distributions()
    for package in set().union(*map(imports, OURS)):
        assert present & {canonicalize_name(name) for name in distributions[package]}, package


def test_a_worker_needs_no_more_than_the_tpu_image_has():
    assert imports("trainer") - {"tensorflow_serving"} == {"tensorflow", "keras", "numpy", "pydantic"}
    assert "trainer.warmup" not in sources(["trainer.workers.worker"]), "it alone needs tensorflow_serving"
    assert {"tensorflow-tpu", "keras", "numpy", "pydantic"} <= locked("kubeflow/deploy/tpu.lock").keys()


def test_weights_go_between_images_of_one_keras():
    assert locked("kubeflow/deploy/tpu.lock")["keras"] == locked("requirements.lock")["keras"]


def test_the_gpu_image_has_what_the_locked_tensorflow_wants_of_cuda():
    pins = locked("kubeflow/deploy/gpu.lock")
    wanted = [Requirement(text) for text in importlib.metadata.requires("tensorflow") if "and-cuda" in text]
    assert len(wanted) > 5
    for requirement in wanted:
        assert requirement.specifier.contains(pins[requirement.name]), requirement


def test_what_the_dockerfile_copies_is_let_through_to_the_engine():
    copied = [path for line in re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE) for path in line.split()]
    let_through = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
        assert path.split("/")[0] in let_through, path
    assert let_through == {path.split("/")[0] for path in copied}
    assert set(copied) >= OURS


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A checkout of the last commit."""
    path = tmp_path_factory.mktemp("clone")
    if subprocess.run(["git", "clone", "--quiet", ROOT, path], capture_output=True).returncode:
        pytest.skip("no checkout of git")
    return path


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("trainer/model/networks.py", True),
        ("trainer/of_no_commit.py", True),
        ("README.md", False),
        ("cluster.yaml", False),
        ("kubeflow/deploy/manifests/ours/kustomization.yaml", False),
    ],
)
def test_an_image_of_sources_that_are_in_no_commit_says_so(path, changed, clone):
    for command in (["reset", "--quiet", "--hard"], ["clean", "--quiet", "--force", "-d"]):
        subprocess.run(["git", "-C", clone, *command], check=True)
    shutil.copy(ROOT / "Makefile", clone)  # as it is now
    (clone / path).parent.mkdir(exist_ok=True)
    with (clone / path).open("a") as file:
        file.write("\n")
    command = subprocess.run(["make", "-n", "image"], cwd=clone, check=True, capture_output=True, text=True).stdout
    (revision,) = re.findall(r"--build-arg REVISION=(\S+)", command)
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", revision)
    assert revision.endswith("-dirty") == changed


@pytest.mark.parametrize(("flavor", "ending"), [("", ""), ("GPU=1", "-gpu")])
def test_an_image_has_a_name_that_no_other_revision_gets(flavor, ending):
    command = subprocess.run(
        ["make", "--dry-run", "image", "REVISION=0123456789abcdef0123456789abcdef01234567-dirty", *flavor.split()],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    version = PROJECT["project"]["version"]
    assert re.findall(r"--tag (\S+)", command) == [
        f"vaeiaf:{version}{ending}",
        f"vaeiaf:{version}-0123456789ab-dirty{ending}",
    ]
