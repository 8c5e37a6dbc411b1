"""Fingerprints of source code, so that no cached result is older than the code that makes it."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import pathlib
import posixpath
from collections.abc import Iterable, Iterator
from typing import NamedTuple

OWN = ("components", "trainer")  # packages whose modules count
DATA_FILES = (
    "READS"  # constant of a module: the files that it reads, by paths relative to its own folder; they count too
)


class Code(NamedTuple):
    """The code that a node's result depends on."""

    modules: tuple[str, ...] = ()  # our own, by dotted path; their imports of our own count too
    libraries: tuple[str, ...] = ()  # distributions, whose versions count


NUMERIC = ("tensorflow", "numpy")
INGESTION = Code(("components.ingest.example_gen",), (*NUMERIC, "tensorflow-datasets", "apache-beam", "tfx"))
STATISTICS = Code((), (*NUMERIC, "tensorflow-data-validation", "tfx"))
DRIFT = Code(("components.drift.component",), (*NUMERIC, "tensorflow-data-validation", "apache-beam", "scipy", "tfx"))
CODE = {
    "ImageExampleGen": INGESTION,
    "StatisticsGen": STATISTICS,
    "ServingExampleGen": INGESTION,
    "ServingStatisticsGen": STATISTICS,
    "SpanDrift": DRIFT,
    "ServingSkew": DRIFT,
    "Schema": Code(("components.ingest.schema",)),
    "StrictExampleValidator": Code(("components.ingest.validator",), ("tensorflow-data-validation", "tfx")),
    "Transform": Code(("components.ingest.transform",), (*NUMERIC, "tensorflow-transform", "tfx")),
    "Tuner": Code(("components.train.tuner_fn",), (*NUMERIC, "keras", "keras-tuner", "tensorflow-transform", "tfx")),
    "Trainer": Code(
        ("components.train.run_fn",), (*NUMERIC, "keras", "tensorflow-serving-api", "tensorflow-transform", "tfx")
    ),
    "ServingCheck": Code(("components.gate.serving_check",), (*NUMERIC, "tensorflow-serving-api", "tfx")),
    "Evaluator": Code(
        ("components.gate.evaluator", "components.gate.extremes_metric", "components.gate.metric"),
        (*NUMERIC, "tensorflow-model-analysis", "apache-beam", "tfx"),
    ),
}


def code_of(node: str) -> str:
    """Returns the fingerprint of the code behind the result of the TFX node `node`; empty if there is none."""
    return fingerprint(*CODE[node]) if node in CODE else ""


def code_parts(node: str) -> dict[str, str]:
    """Returns what `code_of` covers: the versions of libraries and a short hash of each module, by name."""
    code = CODE.get(node, Code())
    found = {library: importlib.metadata.version(library) for library in code.libraries}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for name, path in sources(code.modules).items()}
    return {**found, **hashes}


def fingerprint(modules: Iterable[str], libraries: Iterable[str]) -> str:
    """Returns a hash of the sources of `modules` and of their own imports at any depth, and of libraries' versions.

    Imports inside functions count too.

    Raises:
      ModuleNotFoundError: a module does not exist.
      importlib.metadata.PackageNotFoundError: a library is not installed.
    """
    digest = hashlib.sha256()
    for library in sorted(libraries):
        digest.update(f"{library}=={importlib.metadata.version(library)}\0".encode())
    for name, path in sorted(sources(modules).items()):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def sources(modules: Iterable[str]) -> dict[str, pathlib.Path]:
    """Returns the files of `modules`, of their imports of our own at any depth, and of all that these read.

    Modules are named by dotted path, the files in their `READS` by path from the folder of the package.
    """
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
        tree = ast.parse(found[name].read_bytes())
        package = name if spec.submodule_search_locations else name.rpartition(".")[0]
        pending += _imports(tree, package)
        for file in _reads(tree):
            found[posixpath.normpath(f"{package.replace('.', '/')}/{file}")] = found[name].parent / file
    return found


def _reads(tree: ast.Module) -> list[str]:
    """Returns the files that a module names in its constant `READS`, a tuple of texts."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(one, ast.Name) and one.id == DATA_FILES for one in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return []


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Yields our own modules that a module in `package` imports, and the packages that contain them."""
    for node in ast.walk(tree):
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
    except ModuleNotFoundError:  # the parent is a module, not a package
        return False
