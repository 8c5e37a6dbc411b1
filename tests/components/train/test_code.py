import sys

import pytest

from components.train import code
from components.train.code import CODE, fingerprint, sources


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Modules in folders at three levels.

    `one` imports `inner.deep` inside a function; that imports `inner.lower.lowest`, which `one` does not name; `two`
    imports nothing.
    """
    folder = tmp_path / "sample_package"
    (folder / "inner/lower").mkdir(parents=True)
    for package in ("", "inner/", "inner/lower/"):
        (folder / f"{package}__init__.py").write_text("")
    (folder / "inner/lower/lowest.py").write_text("z = 1\n")
    (folder / "inner/deep.py").write_text("from .lower import lowest\n\nz = lowest.z\n")
    (folder / "one.py").write_text("def x():\n    from .inner.deep import z\n    return z\n")
    (folder / "two.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(code, "OWN", ("sample_package",))
    yield folder
    for name in [name for name in sys.modules if name.startswith("sample_package")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("one.py", {"one"}),
        ("two.py", {"two"}),
        ("inner/deep.py", {"one", "inner.deep"}),
        ("inner/__init__.py", {"one", "inner.deep"}),
        ("inner/lower/lowest.py", {"one", "inner.deep"}),
        ("inner/lower/__init__.py", {"one", "inner.deep"}),
    ],
)
def test_an_edit_changes_the_fingerprint_of_what_imports_it_at_any_depth(package, edited, changed):
    modules = ("one", "two", "inner.deep")
    before = {name: fingerprint([f"sample_package.{name}"], []) for name in modules}
    (package / edited).write_text("edited = True\n")
    after = {name: fingerprint([f"sample_package.{name}"], []) for name in modules}
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_librarys_version_changes_the_fingerprint(package, monkeypatch):
    before = fingerprint(["sample_package.two"], ["numpy"])
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.1")
    assert fingerprint(["sample_package.two"], ["numpy"]) != before


def test_an_unknown_module_is_an_error(package):
    with pytest.raises(ModuleNotFoundError):
        fingerprint(["sample_package.three"], [])


def test_the_fingerprint_of_the_trainer_covers_the_training_and_those_of_the_data_do_not():
    trainer = sources(CODE["Trainer"].modules)
    assert {
        "trainer.training.loop",
        "trainer.training.step",
        "trainer.model.vae",
        "trainer.model.flows",
        "trainer.export",
    } <= set(trainer)
    for node in ("ImageExampleGen", "StatisticsGen", "StrictExampleValidator", "Transform"):
        assert "trainer.training.loop" not in sources(CODE[node].modules)
    assert "components.ingest.validator" in sources(CODE["StrictExampleValidator"].modules)
