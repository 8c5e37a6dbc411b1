import sys

import pytest

from components.code import fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "sample_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "one.py").write_text("x = 1\n")
    (folder / "two.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("sample_package")]:
        del sys.modules[name]


def test_an_edit_changes_the_fingerprint_of_its_module_and_package_only(package):
    before = {name: fingerprint(f"sample_package{name}") for name in ("", ".one", ".two")}
    (package / "one.py").write_text("x = 2\n")
    after = {name: fingerprint(f"sample_package{name}") for name in ("", ".one", ".two")}
    assert {name for name in before if before[name] != after[name]} == {"", ".one"}


def test_an_unknown_module_is_an_error(package):
    with pytest.raises(ModuleNotFoundError, match=r"sample_package\.three"):
        fingerprint("sample_package.three")
