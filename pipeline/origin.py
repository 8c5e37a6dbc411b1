"""What a run is made with: the code, its libraries and the machine."""

import importlib.metadata
import os
import pathlib
import platform
import re

from pipeline.revision import release, revision

LIBRARIES = {"TensorFlow": "tensorflow", "TFX": "tfx", "Apache Beam": "apache-beam"}
CPU_INFO = pathlib.Path("/proc/cpuinfo")


def made_with() -> dict[str, str]:
    """Returns versions and the machine of this process, by name."""
    return {
        "code revision": revision(),
        "vaeiaf": release(),
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(library) for name, library in LIBRARIES.items()},
        "machine": f"{os.cpu_count()} CPUs, {_cpu()}",
    }


def _cpu() -> str:
    """Returns the model of the processor, or its architecture where the system does not name the model."""
    found = re.search(r"^model name\s*:\s*(.+)$", CPU_INFO.read_text(), re.MULTILINE) if CPU_INFO.exists() else None
    return " ".join((found.group(1) if found else platform.processor() or platform.machine()).split())
