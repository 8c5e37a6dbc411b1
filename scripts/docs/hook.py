"""The mkdocs hook that adds the reference pages to the site."""

import pathlib
import subprocess
import sys
import tempfile

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages, which a subprocess writes because TensorFlow prints lines when it starts."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "scripts.docs.reference", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise PluginError(f"the reference pages cannot be written:\n{done.stderr}")
        for page in sorted(pathlib.Path(folder).iterdir()):
            files.append(File.generated(config, f"reference/{page.name}", content=page.read_text()))
    return files
