"""The site is built without a warning, loads nothing from elsewhere, and has every setting, command and signature."""

import dataclasses
import os
import re
import subprocess
import sys

import pytest
from documents import REPOSITORY

from kubeflow.spec.cluster import Cluster
from pipeline.cli import parser
from pipeline.settings import PipelineConfig
from trainer.failure import Failure
from trainer.settings import TrainConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def page(site, name):
    return (site / "reference" / f"{name}.html").read_text()


def test_it_loads_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    loaded = {
        found
        for path in pages
        for found in re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?:[^"]+)"', path.read_text())
    }
    assert loaded == set()


@pytest.mark.parametrize(
    ("name", "table"), [("settings", TrainConfig), ("settings", PipelineConfig), ("cluster", Cluster)]
)
def test_it_has_every_setting(site, name, table):
    names = [field.name for field in dataclasses.fields(table) if field.name != "train"]
    text = page(site, name)
    heads = set(re.findall(r'<h2 id="(\w+)"', text))
    assert [setting for setting in names if f"<code>{setting}</code>" not in text and setting not in heads] == []


def test_it_has_every_option_of_every_command(site):
    (commands,) = [action.choices for action in parser()._actions if isinstance(action.choices, dict)]
    text = page(site, "commands")
    for name, command in commands.items():
        assert f'id="vaeiaf-{name}"' in text
        part = text[text.index(f'id="vaeiaf-{name}"') :]
        options = [option for option in command._option_string_actions if option not in ("-h", "--help")]
        assert [option for option in options if not re.search(rf"(<code>|, ){option}\b", part)] == []


def test_it_has_every_signature(site):
    text = page(site, "signatures")
    for name in (
        "evaluate",
        "reconstruct",
        "reconstruct_pixels",
        "encode",
        "encode_pixels",
        "decode",
        "sample",
        "sample_at_temperature",
        "serving_default",
    ):
        assert f"<code>{name}</code>" in text
    assert "<code>latents</code> float32 [B, L]" in text


def test_it_has_every_exit_code_and_field_of_a_failure(site):
    text = page(site, "exit-codes")
    for code in (0, 1, 2, 3, 129, 130, 143):
        assert f"<code>{code}</code>" in text
    assert [field.name for field in dataclasses.fields(Failure) if f"<code>{field.name}</code>" not in text] == []
