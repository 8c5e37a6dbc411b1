import pathlib
import sys

import pytest
from jinja2 import FunctionLoader

from comparisons import DRIFTED
from components.drift import page
from components.train import code
from components.train.code import CODE, fingerprint, sources


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Modules in folders at three levels.

    `one` imports `inner.deep` inside a function; that imports `inner.lower.lowest`, which `one` does not name; `two`
    imports nothing, and reads two files.
    """
    folder = tmp_path / "sample_package"
    (folder / "inner/lower").mkdir(parents=True)
    for package in ("", "inner/", "inner/lower/"):
        (folder / f"{package}__init__.py").write_text("")
    (folder / "inner/lower/lowest.py").write_text("z = 1\n")
    (folder / "inner/deep.py").write_text("from .lower import lowest\n\nz = lowest.z\n")
    (folder / "one.py").write_text("def x():\n    from .inner.deep import z\n    return z\n")
    (folder / "two.py").write_text('READS = ("beside.txt", "inner/lower/below.txt")\ny = 1\n')
    (folder / "beside.txt").write_text("1")
    (folder / "inner/lower/below.txt").write_text("1")
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
        ("beside.txt", {"two"}),
        ("inner/lower/below.txt", {"two"}),
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


def test_a_file_that_a_module_reads_is_named_by_its_path(package):
    assert {"sample_package/beside.txt", "sample_package/inner/lower/below.txt"} < set(sources(["sample_package.two"]))


def test_the_templates_of_the_comparison_of_data_are_among_its_sources(monkeypatch):
    loader, read = page.TEMPLATES.loader, []
    monkeypatch.setattr(page.TEMPLATES, "cache", None)
    monkeypatch.setattr(page.TEMPLATES, "loader", FunctionLoader(lambda name: found(loader, name, read)))
    page.render(DRIFTED)
    assert {pathlib.Path(path) for path in read} <= {
        path.resolve() for path in sources(CODE["SpanDrift"].modules).values()
    }
    assert len(read) >= 3


def found(loader, name, read):
    source, path, is_current = loader.get_source(page.TEMPLATES, name)
    read.append(path)
    return source, path, is_current


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
