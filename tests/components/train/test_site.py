import json

import pytest

from components.train.site import Site
from trainer.schema import SettingError
from trainer.settings import Execution
from trainer.workers.launch import launch_local

ELSEWHERE = Site(
    execution=Execution(strategy="tpu:west", workers=1, checkpoint_minutes=2.5, checkpoint_percent=0.5),
    training="/mnt/training",
    run="run-7-",
    warm_start=True,
    apart=True,
    launcher="elsewhere.make",
    launcher_settings={"namespace": "team", "pod": {"cpu": 4}},
)


@pytest.mark.parametrize("site", [Site(), ELSEWHERE])
def test_a_site_survives_the_way_through_json(site):
    assert Site.from_dict(json.loads(json.dumps(site.to_dict()))) == site


def test_an_invalid_execution_is_refused():
    values = ELSEWHERE.to_dict() | {"execution": {"strategy": "psychic"}}
    with pytest.raises(SettingError) as error:
        Site.from_dict(values)
    assert (error.value.setting, error.value.failure.value) == ("strategy", "psychic")


def test_workers_are_launched_on_this_machine_by_default():
    assert Site().launch() is launch_local


def test_another_launcher_is_found_by_its_name_and_gets_its_settings(tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text("def make(settings):\n    return lambda *rest: (settings, *rest)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert ELSEWHERE.launch()("folder", 3) == (ELSEWHERE.launcher_settings, "folder", 3)
