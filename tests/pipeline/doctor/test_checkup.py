"""The doctor finds nothing wrong with a sound machine, and exactly what is wrong with any other."""

import collections
import importlib.metadata
import json
import os
import shutil
import sys

import pytest

from pipeline import cli
from pipeline.doctor import memory
from state_root import StateRoot
from trainer import exit_codes
from trainer.storage.lock import alone

CHECKS = ["versions", "c-library", "memory", "temporary", "state", "database", "data", "docker"]


@pytest.fixture
def root(tmp_path):
    StateRoot(tmp_path / "root").store.get_artifacts()
    return tmp_path / "root"


@pytest.fixture
def doctor(root, capsys, monkeypatch, tmp_path):
    """Findings by check, of a run of the embedded data; and the exit code."""
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin/docker"
    docker.write_text("#!/bin/sh\necho 27.1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data sets"))

    def run(*arguments):
        code = cli.main(["doctor", f"--root={root}", "--dataset=photo_patches", "--json", *arguments])
        found = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}
        assert list(found) == CHECKS
        return found, code

    return run


def test_a_sound_machine_has_no_fault(doctor, root, tmp_path):
    found, code = doctor()
    assert {check: finding["state"] for check, finding in found.items()} == dict.fromkeys(CHECKS, "ok")
    assert code == exit_codes.DONE
    found, _ = doctor(f"--root={tmp_path}/new/root")
    assert {finding["state"] for finding in found.values()} == {"ok"}
    assert not (tmp_path / "new").exists()


def other_python(patch, root):
    patch.setattr(sys, "version_info", (3, 12, 1))


def other_library(patch, root):
    version = importlib.metadata.version
    patch.setattr(importlib.metadata, "version", lambda name: "2.20.0" if name == "tensorflow" else version(name))


def old_c_library(patch, root):
    patch.setattr(os, "confstr", lambda _: "glibc 2.36")


def musl(patch, root):
    patch.setattr(os, "confstr", lambda _: None)


def small_container(patch, root):
    limit = root / "memory.max"
    limit.write_text(str(2 * 10**9))
    patch.setattr(memory, "LIMIT", limit)


def full_disk(patch, root):
    usage = collections.namedtuple("usage", "total used free")
    patch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 10**8 if str(path) == str(root) else 10**12))


def torn_database(patch, root):
    (root / "metadata.sqlite").write_bytes(b"nothing" * 999)


def zeroed_page(patch, root):
    content = bytearray((root / "metadata.sqlite").read_bytes())
    content[4096:8192] = bytes(4096)
    (root / "metadata.sqlite").write_bytes(content)


@pytest.mark.parametrize(
    ("breaks", "check", "sentence", "remedy"),
    [
        (other_python, "versions", "this is Python 3.12.1, and 3.11 is required", "Run make setup"),
        (other_library, "versions", "tensorflow 2.20.0 is installed, and ==2.21.* is required", "Run make setup"),
        (old_c_library, "c-library", "this is glibc 2.36, and ML Metadata needs glibc 2.38", "Run make setup"),
        (musl, "c-library", "the C library is unknown, not glibc", "Use a system with glibc"),
        (small_container, "memory", "this container has 2.0 GB and", "Give it 4 GB"),
        (full_disk, "state", "can be written, but its disk has 0.1 GB free", "Free some, with vaeiaf prune too"),
        (torn_database, "database", "metadata.sqlite cannot be used: file is not a database", "Restore a copy"),
        (zeroed_page, "database", "metadata.sqlite is damaged: ", "Restore a copy"),
    ],
)
def test_a_fault_is_found_named_and_mended(doctor, root, monkeypatch, breaks, check, sentence, remedy):
    breaks(monkeypatch, root)
    found, code = doctor()
    assert [name for name in CHECKS if found[name]["state"] != "ok"] == [check]
    assert found[check]["state"] == "WRONG"
    assert sentence in found[check]["sentence"]
    assert found[check]["remedy"].startswith(remedy)
    assert code == exit_codes.FAILED


def test_a_root_in_a_place_that_is_no_folder_is_found(doctor, tmp_path):
    (tmp_path / "file").touch()
    found, code = doctor(f"--root={tmp_path}/file/root")
    assert (found["state"]["state"], code) == ("WRONG", exit_codes.FAILED)
    assert f"{tmp_path}/file is not a folder to write to" in found["state"]["sentence"]


def test_a_run_that_is_running_is_no_fault(doctor, root):
    with alone(str(root), "run", "--root"):
        assert "is in use by a run" in doctor()[0]["state"]["sentence"]


def test_data_are_looked_for_where_a_run_looks(doctor, tmp_path):
    found, code = doctor("--dataset=cifar10")
    assert (found["data"]["state"], code) == ("unknown", exit_codes.DONE)
    assert "cifar10 is not prepared in " in found["data"]["sentence"]
    prepared = tmp_path / "data sets/cifar10/3.0.2"
    prepared.mkdir(parents=True)
    (prepared / "dataset_info.json").touch()
    assert doctor("--dataset=cifar10:3.0.2")[0]["data"]["state"] == "ok"


def test_own_data_are_looked_for_at_their_path(tmp_path, root, capsys, doctor):
    (tmp_path / "images").mkdir()
    for path, state in (
        (tmp_path / "images", "ok"),
        (tmp_path / "none", "WRONG"),
        (tmp_path / "images/{SPAN}", "ok"),
        (tmp_path / "none/{SPAN}", "WRONG"),
    ):
        cli.main(["doctor", f"--root={root}", f"--data={path}", "--json"])
        found = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}
        assert found["data"]["state"] == state


@pytest.mark.parametrize(
    ("program", "sentence"),
    [("echo no daemon >&2; exit 1", "Docker does not answer (no daemon)"), ("sleep 9", "does not answer within 0 s")],
)
def test_docker_that_does_not_answer_is_no_fault(doctor, tmp_path, monkeypatch, program, sentence):
    (tmp_path / "bin/docker").write_text(f"#!/bin/sh\n{program}\n")
    monkeypatch.setattr("pipeline.doctor.docker.SECONDS", 5.0 if "exit" in program else 0.01)
    found, code = doctor()
    assert (found["docker"]["state"], code) == ("unknown", exit_codes.DONE)
    assert sentence in found["docker"]["sentence"]


def test_options_of_a_server_need_a_cluster(capsys):
    assert cli.main(["doctor", "--host=http://kfp"]) == exit_codes.BAD_INPUT
    message = "vaeiaf: --host has no meaning without --cluster. Give --cluster too, or leave it out\n"
    assert capsys.readouterr().err == message
