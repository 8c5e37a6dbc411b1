import platform

import pytest
import tensorflow

from pipeline import origin
from pipeline.origin import made_with


def test_versions_are_those_of_this_process():
    found = made_with()
    assert (found["Python"], found["TensorFlow"]) == (platform.python_version(), tensorflow.__version__)


@pytest.mark.parametrize(
    ("cpu_info", "named"),
    [("processor : 0\nmodel name\t: AMD  EPYC 9B14\nflags : fpu\n", "AMD EPYC 9B14"), ("CPU part : 0xd0c\n", None)],
)
def test_the_machine_is_named_as_the_system_names_it(cpu_info, named, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(cpu_info)
    monkeypatch.setattr(origin, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert made_with()["machine"].endswith(f" CPUs, {named or platform.machine()}")
