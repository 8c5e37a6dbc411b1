"""Whether Python and the libraries are those that this project needs."""

import importlib.metadata
import sys

from packaging.requirements import Requirement

from pipeline.doctor.finding import Finding, State

CHECK = "versions"
PYTHON = (3, 11)
SHOWN = ("tensorflow", "tfx", "apache-beam", "ml-metadata")
REMEDY = "Run make setup, which installs the locked versions into .venv"


def versions() -> Finding:
    """Compares the installed distributions with what this project requires."""
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] != PYTHON:
        return Finding(CHECK, State.WRONG, f"this is Python {python}, and 3.11 is required", REMEDY)
    try:
        required = [Requirement(text) for text in importlib.metadata.requires("vaeiaf") or []]
    except importlib.metadata.PackageNotFoundError:
        return Finding(CHECK, State.UNKNOWN, f"Python {python}; vaeiaf itself is not installed in it", REMEDY)
    faults = [fault for requirement in required if (fault := _fault(requirement))]
    if faults:
        return Finding(CHECK, State.WRONG, "; ".join(faults), REMEDY)
    shown = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in SHOWN)
    return Finding(CHECK, State.OK, f"Python {python}, {shown}")


def _fault(requirement: Requirement) -> str | None:
    """Says what is wrong with the distribution of a requirement, if anything is."""
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        return None
    try:
        found = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(found, prereleases=True):
        return None
    return f"{requirement.name} {found} is installed, and {requirement.specifier} is required"
