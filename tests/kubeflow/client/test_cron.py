import pytest

from kubeflow.client.cron import check_cron, check_time_zone
from trainer.errors import UserError


def test_a_cron_of_six_fields_is_taken_with_single_blanks():
    assert check_cron(" 0 30  3 * * MON-FRI ") == "0 30 3 * * MON-FRI"


def test_a_cron_of_five_fields_which_kubeflow_would_take_for_another_time_is_refused_with_the_right_one():
    with pytest.raises(UserError, match=r"five fields.*--cron '0 0 3 \* \* \*'"):
        check_cron("0 3 * * *")


@pytest.mark.parametrize(
    "cron",
    ["", "@daily", "0 0 3 * * * 2027", "CRON_TZ=UTC 0 0 3 * * *", "0 0 3 * * $", "* 0 3 * * *", "60 0 3 * * *"],
)
def test_what_is_no_time_for_a_retraining_is_refused(cron):
    with pytest.raises(UserError, match="expected"):
        check_cron(cron)


@pytest.mark.parametrize("zones", [("UTC", "UTC"), ("Etc/UTC", "UTC"), ("Europe/Berlin", "Europe/Paris")])
def test_zones_whose_clocks_agree_all_year_are_one(zones):
    check_time_zone(*zones)


@pytest.mark.parametrize("wanted", ["Europe/Berlin", "Europe/London", "Asia/Kolkata"])
def test_a_zone_that_the_cluster_does_not_keep_is_refused(wanted):
    with pytest.raises(UserError, match=f"--time-zone {wanted}: .* cronScheduleTimezone"):
        check_time_zone(wanted, "UTC")


@pytest.mark.parametrize("name", ["Europe/Bonn", "", "../etc/passwd", "CEST"])
def test_a_zone_that_is_none_is_refused(name):
    with pytest.raises(UserError, match="expected a name of the IANA database"):
        check_time_zone("UTC", name)
