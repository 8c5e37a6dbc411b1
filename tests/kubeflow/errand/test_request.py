"""What is sent to a pod and comes back: files of this machine, within Kubernetes' limits."""

import argparse

import pytest

from kubeflow.errand import request
from kubeflow.errand.request import Answer, Request, written
from trainer.errors import UserError


def asked(images):
    options = argparse.Namespace(command="encode", run=print, check=print, errand="c", model="served", images=images)
    return Request.of(options, images)


def test_images_that_are_here_go_along_and_other_paths_are_the_pods(tmp_path):
    (tmp_path / "cat.png").write_bytes(b"\x89")
    images = [str(tmp_path / "cat.png"), "photos/dog.png"]
    made = asked(images)
    assert made == ("encode", {"model": "served", "images": images}, {images[0]: b"\x89"})
    assert Request.read(made.arguments()) == made


def test_images_beyond_what_kubernetes_stores_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(request, "MAX_SENT", 3)
    (tmp_path / "a").write_bytes(b"12")
    asked([str(tmp_path / "a")])
    with pytest.raises(UserError) as error:
        asked([str(tmp_path / "a")] * 2)
    assert error.value.failure.remedy.startswith("Send fewer")


def test_an_answer_has_a_file_or_a_folder_or_nothing(tmp_path):
    assert written(str(tmp_path / "none")) == {}
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "folder/inner/a").write_bytes(b"2")
    (tmp_path / "folder/b").write_bytes(b"3")
    assert written(str(tmp_path / "file")) == {"": b"1"}
    answer = Answer(0, "out", "err", written(str(tmp_path / "folder")))
    assert answer.files == {"inner/a": b"2", "b": b"3"}
    assert Answer.read(answer.text()) == answer


def test_files_beyond_what_a_node_keeps_of_a_log_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(request, "MAX_RETURNED", 1)
    (tmp_path / "file").write_bytes(b"12")
    with pytest.raises(UserError) as error:
        written(str(tmp_path / "file"))
    assert error.value.failure.remedy.startswith("Ask for less")
