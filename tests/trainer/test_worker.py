import pytest

from trainer import worker


@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_a_worker_without_its_one_folder_ends_with_2_and_says_why(arguments, capsys):
    assert worker.main(arguments) == 2
    assert f"expected one argument, the folder of the workers' job, got {len(arguments)}" in capsys.readouterr().err


def test_a_worker_whose_folder_is_not_there_ends_with_2_and_says_why(tmp_path, capsys):
    assert worker.main([str(tmp_path / "nowhere")]) == 2
    assert "every worker has to see the same folder" in capsys.readouterr().err
