import pytest
from tfx.utils import dependency_utils

from pipeline.beam.arguments import BEAM_ARGS, beam_args, job_prefix, plain
from trainer.schema import SettingError


def test_beam_runs_in_process_unless_a_runner_is_given():
    assert beam_args([], "job") == [*BEAM_ARGS]
    assert beam_args(["--temp_location=/tmp"], "job") == [*BEAM_ARGS, "--temp_location=/tmp"]
    assert "--runner=FnApiRunner" not in beam_args(["--runner", "FlinkRunner"], "job")


@pytest.mark.parametrize("given", [[], ["--runner=FlinkRunner"], ["--runner=PortableRunner", "--job_endpoint=h:1"]])
def test_tfx_packs_no_archive_of_itself(given, monkeypatch):
    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: pytest.fail("TFX packs itself"))
    assert dependency_utils.make_beam_dependency_flags(beam_args(given)) == beam_args(given)


@pytest.mark.parametrize(
    "given",
    [
        "--sdk_container_image=ours:1",
        "--setup_file=setup.py",
        "--requirements_file=requirements.txt",
        "--extra_package=ours.tar.gz",
        "--extra_packages=ours.tar.gz",
    ],
)
def test_what_the_user_gives_the_workers_stays_alone(given):
    assert beam_args(["--runner=FlinkRunner", given]) == ["--runner=FlinkRunner", given]


def test_a_job_has_a_name_and_the_user_s_wins():
    assert beam_args(["--runner=flink"], "job") == ["--sdk_container_image=none", "--job_name=job", "--runner=flink"]
    assert beam_args(["--runner=flink", "--job_name=mine"], "job")[-1] == "--job_name=mine"


@pytest.mark.parametrize(
    "given",
    [
        ["--runner"],
        ["--runner=FlinkRunner", "--flink_version=0.9"],
        ["--parallelism=x"],
        ["--runner=Foo"],
        ["--runner=no.such.Runner"],
        ["--runner=apache_beam.runners.Foo"],
    ],
)
def test_arguments_that_beam_refuses_are_a_setting_s_error(given, capsys):
    with pytest.raises(SettingError) as error:
        beam_args(given, setting="beam.args")
    assert (error.value.setting, error.value.failure.value) == ("beam.args", given)
    assert capsys.readouterr().err == ""


def test_a_job_s_name_is_that_of_the_run_or_of_the_state_directory():
    assert (
        job_prefix("vaeiaf-cifar10", "/a", "run-1")
        == "vaeiaf-cifar10-run-1"
        == job_prefix("vaeiaf-cifar10", "/b", "run-1")
    )
    assert job_prefix("vaeiaf-cifar10", "/a", "") == job_prefix("vaeiaf-cifar10", "/a", "")
    assert job_prefix("vaeiaf-cifar10", "/a", "") != job_prefix("vaeiaf-cifar10", "/b", "")


@pytest.mark.parametrize("name", ["vaeiaf-A_b.c", "1vaeiaf-a-b-c", "--Vaeiaf:a b/c-"])
def test_a_plain_name_is_one_that_every_engine_accepts(name):
    assert plain(name) == "vaeiaf-a-b-c"
