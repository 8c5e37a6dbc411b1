"""Fingerprints of source code, so that a cached result is not older than the code that makes it."""

import hashlib
import importlib.metadata
import importlib.util
import pathlib

LIBRARIES = ("tensorflow", "keras", "keras-tuner")


def fingerprint(*names: str) -> str:
    """SHA-256 of modules and packages (their direct modules), named by dotted path, and of the versions below them."""
    digest = hashlib.sha256("".join(importlib.metadata.version(name) for name in LIBRARIES).encode())
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no module {name}")
        origin = pathlib.Path(spec.origin)
        sources = sorted(origin.parent.glob("*.py")) if spec.submodule_search_locations else [origin]
        for source in sources:
            digest.update(f"{name}/{source.name}\0".encode() + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
