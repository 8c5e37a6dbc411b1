import pytest

from kubeflow.client.cron import check_cron, check_time_zone
from trainer.errors import UserError


def test_a_cron_of_six_fields_is_taken_with_single_blanks():
    assert check_cron(" 0 30  3 * * MON-FRI ") == "0 30 3 * * MON-FRI"


FIELDS = "a number of seconds, then minute, hour, day of month, month and day of week, as in '0 0 3 * * *'"


@pytest.mark.parametrize(
    ("cron", "text"),
    [
        (
            "0 3 * * *",
            f"--cron: expected {FIELDS}, got '0 3 * * *'. Kubeflow wants seconds first: --cron '0 0 3 * * *'",
        ),
        ("@daily", f"--cron: expected {FIELDS}, got '@daily'"),
        ("* 0 3 * * *", f"--cron: expected {FIELDS}, got '* 0 3 * * *'"),
    ],
)
def test_an_invalid_cron_is_told_with_a_valid_one(cron, text):
    with pytest.raises(UserError) as error:
        check_cron(cron)
    assert str(error.value) == text


@pytest.mark.parametrize("cron", ["", "0 0 3 * * * 2027", "CRON_TZ=UTC 0 0 3 * * *", "0 0 3 * * $", "60 0 3 * * *"])
def test_a_cron_that_kubeflow_refuses_or_reads_as_another_time_is_refused(cron):
    with pytest.raises(UserError) as error:
        check_cron(cron)
    assert error.value.failure.value == cron


@pytest.mark.parametrize("zones", [("UTC", "UTC"), ("Etc/UTC", "UTC"), ("Europe/Berlin", "Europe/Paris")])
def test_zones_whose_clocks_agree_all_year_are_one(zones):
    check_time_zone(*zones)


@pytest.mark.parametrize("wanted", ["Europe/Berlin", "Europe/London", "Asia/Kolkata"])
def test_a_zone_that_the_cluster_does_not_keep_is_refused(wanted):
    with pytest.raises(UserError) as error:
        check_time_zone(wanted, "UTC")
    assert str(error.value) == (
        "--time-zone: expected UTC, the time_zone of cluster.yaml, in which Kubeflow reads every cron, got "
        f"'{wanted}'. Give the hour in UTC, or have an administrator set cronScheduleTimezone in Kubeflow's ConfigMap "
        f"pipeline-install-config to {wanted}, and set time_zone"
    )


@pytest.mark.parametrize("name", ["Europe/Bonn", "", "../etc/passwd", "CEST"])
def test_an_unknown_zone_is_refused(name):
    with pytest.raises(UserError) as error:
        check_time_zone(name, "UTC")
    assert str(error.value) == f"--time-zone: expected a name of the IANA database, such as Europe/Berlin, got '{name}'"
