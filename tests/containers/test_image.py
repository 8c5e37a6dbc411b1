"""The contents of the image, and how its containers behave."""

import json
import pathlib
import re
import tomllib

import docker
import pytest

from trainer.failure import Failure, Kind

ROOT = pathlib.Path(__file__).parents[2]
RELEASE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
LOOK = """
import importlib.util, json, os, pathlib, shutil, tensorflow
folders = ["trainer", "components", "pipeline", "kubeflow", os.path.dirname(tensorflow.__file__)]
sources = [str(path) for folder in folders for path in pathlib.Path(folder).rglob("*.py")]
print(json.dumps({
    "user": os.getuid(),
    "group": os.getgid(),
    "tools": [tool for tool in ("g++", "gcc", "cc", "make", "uv") if shutil.which(tool)],
    "sources": len(sources),
    "uncompiled": [path for path in sources if not os.path.exists(importlib.util.cache_from_source(path))],
    "writable": [path for path in ("/opt/vaeiaf", "/opt/venv", "/usr", "/etc") if os.access(path, os.W_OK)],
    "revision": os.environ["VAEIAF_REVISION"],
    "version": os.environ["VAEIAF_VERSION"],
}))
"""


@pytest.fixture(scope="module")
def inside(engine, image):
    """Returns what a container finds in its environment."""
    printed = engine.containers.run(image.id, ["python", "-c", LOOK], remove=True, stderr=False)
    return json.loads(printed.decode().splitlines()[-1])


def test_its_user_is_not_root_and_cannot_change_the_code(inside, image):
    assert image.attrs["Config"]["User"] == "1000:0"
    assert (inside["user"], inside["group"], inside["writable"]) == (1000, 0, [])


def test_no_compiler_is_left(inside):
    assert inside["tools"] == []


def test_no_source_is_compiled_at_a_start(inside):
    assert inside["sources"] > 1000
    assert inside["uncompiled"] == []


def test_it_says_what_it_was_built_from_and_has_a_name_that_says_so_too(inside, image):
    version, revision = (image.labels[f"org.opencontainers.image.{name}"] for name in ("version", "revision"))
    assert version == RELEASE
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", revision)
    assert (inside["version"], inside["revision"]) == (version, revision)
    short = re.sub(r"^([0-9a-f]{12})[0-9a-f]*", r"\1", revision)
    assert f"vaeiaf:{RELEASE}-{short}" in image.tags


def test_its_user_can_leave_a_pods_failure(engine, image, tmp_path):
    words = tmp_path / "termination-log"
    words.touch()
    words.chmod(0o666)  # as Kubernetes creates it
    told = {"inputs": {"parameterValues": {"run_id": "r", "preset": "best"}}, "outputs": {}}
    cluster = {"image": "vaeiaf", "namespace": "test", "volume": {"claim": "vaeiaf"}}
    arguments = ["--node=Trainer", f"--cluster={json.dumps(cluster)}", f"--executor-input={json.dumps(told)}"]
    with pytest.raises(docker.errors.ContainerError) as failed:
        engine.containers.run(
            image.id,
            ["python", "-m", "kubeflow.run_node", *arguments],
            remove=True,
            mounts=[docker.types.Mount("/dev/termination-log", str(words), type="bind")],
        )
    assert failed.value.exit_status == 2
    failure = Failure.from_json(words.read_text())
    assert (failure.kind, failure.sentence, failure.value) == (Kind.BAD_INPUT, "preset", "best")
