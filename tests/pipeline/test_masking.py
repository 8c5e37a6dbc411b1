import pytest

from pipeline.beam.arguments import beam_args
from pipeline.masking import MASK, masked
from pipeline.settings import PipelineConfig
from trainer.schema import SettingError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--runner=FlinkRunner", "--flink_master=flink:8081"], ["--runner=FlinkRunner", "--flink_master=flink:8081"]),
        ([f"--s3_secret_access_key={SECRET}"], [f"--s3_secret_access_key={MASK}"]),
        (
            ["--aws-session-token", SECRET, "--parallelism", "2"],
            ["--aws-session-token", MASK, "--parallelism", "2"],
        ),
        ([f"--azure_connection_string=AccountKey={SECRET}==;x=y"], [f"--azure_connection_string={MASK}"]),
        ([f"--flink_master=https://me:{SECRET}@flink:8081"], [f"--flink_master=https://{MASK}@flink:8081"]),
        (["--flink_master", f"https://a@b:{SECRET}@flink"], ["--flink_master", f"https://{MASK}@flink"]),
        ([f'--environment_config={{"env": {{"DB_PASSWORD": "{SECRET}"}}}}'], [f"--environment_config={MASK}"]),
        (["--environment_config", f'{{"token": "{SECRET}"}}'], ["--environment_config", MASK]),
    ],
)
def test_secrets_are_masked_and_other_arguments_stay(arguments, expected):
    assert masked(arguments) == expected


def test_neither_the_recorded_settings_nor_an_error_show_a_secret(tmp_path):
    given = (f"--s3_secret_access_key={SECRET}", "--direct_num_workers=many")
    config = PipelineConfig(dataset="photo_patches", root=str(tmp_path), beam_args=given, notify_url="https://hooks/x")
    assert config.recorded["beam_args"] == [f"--s3_secret_access_key={MASK}", given[1]]
    assert "notify_url" not in config.recorded
    with pytest.raises(SettingError) as error:
        beam_args(given)
    assert SECRET not in str(error.value)
    assert given[1] in str(error.value)
