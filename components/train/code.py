"""Fingerprints of source code, so that a cached result is not older than the code that makes it."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

OWN = ("components", "trainer")  # packages whose imports are followed


class Code(NamedTuple):
    """What a node's result depends on beside its inputs and settings."""

    modules: tuple[str, ...] = ()  # ours, by dotted path; what they import of ours counts too
    libraries: tuple[str, ...] = ()  # distributions, by their versions


NUMERIC = ("tensorflow", "numpy")
CODE = {
    "ImageExampleGen": Code(
        ("components.ingest.example_gen",), (*NUMERIC, "tensorflow-datasets", "apache-beam", "tfx")
    ),
    "StatisticsGen": Code((), (*NUMERIC, "tensorflow-data-validation", "tfx")),
    "Schema": Code(("components.ingest.schema",)),
    "StrictExampleValidator": Code(("components.ingest.validator",), ("tensorflow-data-validation", "tfx")),
    "Transform": Code(("trainer.images",), (*NUMERIC, "tensorflow-transform", "tfx")),
    "Tuner": Code(("components.train.tuner_fn",), (*NUMERIC, "keras", "keras-tuner", "tensorflow-transform", "tfx")),
    "Trainer": Code(("components.train.run_fn",), (*NUMERIC, "keras", "tensorflow-transform", "tfx")),
    "Evaluator": Code(
        ("components.gate.evaluator", "components.gate.metric"),
        (*NUMERIC, "tensorflow-model-analysis", "apache-beam", "tfx"),
    ),
}


def code_of(node: str) -> str:
    """The fingerprint of what the result of the TFX node `node` depends on; empty if that is nothing."""
    return fingerprint(*CODE[node]) if node in CODE else ""


def fingerprint(modules: Iterable[str], libraries: Iterable[str]) -> str:
    """SHA-256 of the sources of modules, by dotted path, of what they import of our own, and of libraries' versions.

    Imports inside functions count too.

    Raises:
      ModuleNotFoundError: there is no such module.
      importlib.metadata.PackageNotFoundError: there is no such library.
    """
    digest = hashlib.sha256()
    for library in sorted(libraries):
        digest.update(f"{library}=={importlib.metadata.version(library)}\0".encode())
    for name, path in sorted(sources(modules).items()):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def sources(modules: Iterable[str]) -> dict[str, pathlib.Path]:
    """The files of `modules` and of everything of our own that they import, at any depth, by dotted path."""
    found: dict[str, pathlib.Path] = {}
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no module {name}")
        found[name] = pathlib.Path(spec.origin)
        pending += _imports(found[name], name if spec.submodule_search_locations else name.rpartition(".")[0])
    return found


def _imports(path: pathlib.Path, package: str) -> Iterator[str]:
    """Our own modules that the file at `path`, in `package`, names in an import; packages on the way included."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] in OWN:
                yield from filter(_is_module, (".".join(parts[: i + 1]) for i in range(len(parts))))


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a name of a module, not of a package
        return False
