import dataclasses
import json
import math
import pathlib

import pytest
import yaml

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.file import load_cluster
from trainer.errors import UserError
from trainer.schema import SettingError

EXAMPLE = pathlib.Path(__file__).parents[3] / "kubeflow/spec/cluster.yaml"
LEAST = {"image": "vaeiaf:1", "namespace": "ml", "volume": {"claim": "data"}}


def test_the_example_says_what_the_defaults_are():
    values = yaml.safe_load(EXAMPLE.read_text())
    needed = {"image": values["image"], "namespace": values["namespace"], "volume": {"claim": "vaeiaf"}}
    nodes = {"nodes": {"Trainer": values["nodes"]["Trainer"]}}  # as an example
    assert load_cluster(str(EXAMPLE)) == Cluster(**needed | nodes)


def test_values_survive_the_way_through_json():
    cluster = load_cluster(str(EXAMPLE))
    assert Cluster(**json.loads(json.dumps(cluster.to_dict()))) == cluster


@pytest.mark.parametrize("path", ["/mnt/vaeiaf", "/data", "/tmp/x", "/opt/vaeiaf/data", "/home/me/vaeiaf", "/mnt/.v"])
def test_a_volume_may_be_mounted_where_it_hides_nothing(path):
    assert Cluster(**{**LEAST, "volume": {"claim": "my.claim-1", "path": path}}).volume.path == path


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_float_has_to_be_finite(value):
    @dataclasses.dataclass(frozen=True)
    class Settings:
        seconds: float = 1.0

    with pytest.raises(SettingError, match=f"^cluster.yaml: seconds: expected a finite number, got {value}$"):
        _build(Settings, {"seconds": value}, "")


def test_numbers_are_quantities_too():
    assert Cluster(**{**LEAST, "pod": {"cpu": 2, "memory": "1Gi"}}).pod.cpu == "2"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"image": None}, "image: expected text, got None"),
        ({"image": "a b"}, "image: expected the name of a container image, got 'a b'"),
        ({"namespace": "My_Space"}, "namespace: expected a name of Kubernetes, without dots, got 'My_Space'"),
        ({"namespace": "a.b"}, "namespace: expected a name of Kubernetes, without dots, got 'a.b'"),
        ({"namespace": "n" * 64}, "namespace: expected a name of Kubernetes, without dots, got 'nnn"),
        ({"service_account": "My.One"}, "service_account: expected a name of Kubernetes, got 'My.One'"),
        ({"volume": {}}, "volume.claim: expected a setting, got None"),
        ({"volume": {"claim": "c."}}, "volume.claim: expected a name of Kubernetes, got 'c.'"),
        (
            {"volume": {"claim": "c", "path": "mnt"}},
            "volume.path: expected an absolute path, as /mnt/vaeiaf",
        ),
        ({"volume": {"claim": "c", "path": "/mnt/../opt"}}, "volume.path: expected an absolute path"),
        ({"volume": {"claim": "c", "path": "/mnt/"}}, "volume.path: expected an absolute path"),
        (
            {"volume": {"claim": "c", "path": "/mnt/st*r"}},
            "volume.path: expected a folder without * ? [ ",
        ),
        ({"volume": {"claim": "c", "path": "/mnt/a\nb"}}, "volume.path: expected a folder without control characters"),
        ({"volume": {"claim": "c", "path": "/opt/vaeiaf"}}, "volume.path: expected a folder that hides nothing"),
        ({"volume": {"claim": "c", "path": "/opt"}}, "volume.path: expected a folder that hides nothing"),
        ({"volume": {"claim": "c", "path": "/usr/share"}}, "volume.path: expected a folder that hides nothing"),
        ({"volume": "c"}, "volume: expected settings with names, got 'c'"),
        ({"databse": {}}, "databse: expected one of image, namespace"),
        ({"database": {"kind": "oracle"}}, "database.kind: expected one of mysql, sqlite, got 'oracle'"),
        ({"database": {"port": "3306"}}, "database.port: expected a whole number, got '3306'"),
        ({"database": {"port": 70000}}, "database.port: expected a port, from 1 to 65535, got 70000"),
        ({"database": {"host": ""}}, "database.host: expected the name or address of a host, got ''"),
        ({"database": {"user": ""}}, "database.user: expected a name, got ''"),
        ({"database": {"wait_seconds": -1}}, "database.wait_seconds: expected a number that is not negative"),
        ({"database": {"secret": "A"}}, "database.secret: expected a name of Kubernetes, got 'A'"),
        ({"pod": {"cpu": "two"}}, "pod.cpu: expected a number of processors, as 2 or 500m, got 'two'"),
        ({"pod": {"cpu": "1Gi"}}, "pod.cpu: expected a number of processors, as 2 or 500m, got '1Gi'"),
        ({"nodes": {"Trainer": {"memory": "8 GB"}}}, "nodes.Trainer.memory: expected an amount of memory"),
        ({"pod": {"memory": "500m"}}, "pod.memory: expected an amount of memory, as 4Gi, got '500m'"),
        ({"pod": {"memory": "1.5Gi"}}, "pod.memory: expected an amount of memory, as 4Gi, got '1.5Gi'"),
        ({"pod": {"image": "a b"}}, "pod.image: expected the name of a container image, got 'a b'"),
        (
            {"pod": {"accelerator": "not a resource", "accelerators": 1}},
            "pod.accelerator: expected a resource, as nvidia.com/gpu, got 'not a resource'",
        ),
        ({"nodes": {"Trainer": {"gpus": 1}}}, "nodes.Trainer.gpus: expected one of cpu, memory, accelerator"),
        ({"nodes": {"Trainer": {"accelerators": 1}}}, "nodes.Trainer.accelerator: expected a resource name and"),
        ({"pod": {"tolerations": ["x"]}}, "pod.tolerations: expected a list of settings with names, got ['x']"),
        (
            {"nodes": {"Trainer": {"tolerations": [{"foo": 1}]}}},
            "nodes.Trainer.tolerations: expected tolerations of key, operator (Exists or Equal), value, effect",
        ),
        ({"pod": {"tolerations": [{"key": 1}]}}, "pod.tolerations: expected tolerations of key, operator"),
        ({"pod": {"tolerations": [{"effect": "NoStart"}]}}, "pod.tolerations: expected tolerations of key, operator"),
        ({"retries": {"count": -1}}, "retries.count: expected a number that is not negative, got -1"),
        ({"retries": {"factor": 0}}, "retries.factor: expected a number above 0, got 0"),
        ({"retries": {"factor": 1.5}}, "retries.factor: expected a whole number, got 1.5"),
        ({"retries": {"max_seconds": 600}}, "retries.max_seconds: expected one of count, seconds, factor, within_"),
        (
            {"retries": {"seconds": 9, "within_seconds": 8}},
            "retries.within_seconds: expected no less than seconds, 9, got 8",
        ),
        (
            {"retries": {"within_seconds": 3600}},
            "retries.within_seconds: expected no less than workers.deadline_seconds, 604800, got 3600",
        ),
        ({"workers": {"port": 0}}, "workers.port: expected a port, from 1 to 65535, got 0"),
        ({"workers": {"port": 99999}}, "workers.port: expected a port, from 1 to 65535, got 99999"),
        ({"workers": {"restarts": True}}, "workers.restarts: expected a whole number, got True"),
        ({"workers": {"pod": {"cpu": ""}}}, "workers.pod.cpu: expected a number of processors"),
        ({"time_zone": "Mars/Olympus"}, "time_zone: expected a name of the IANA database, as Europe/Berlin, got 'Mars"),
        ({"time_zone": ""}, "time_zone: expected a name of the IANA database, as Europe/Berlin, got ''"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_its_place(change, complaint):
    with pytest.raises(SettingError) as error:
        Cluster(**{**LEAST, **change})
    assert str(error.value).startswith(f"cluster.yaml: {complaint}")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read: No such file or directory. Start from kubeflow/spec/cluster.yaml"),
        ("a: [", "is no YAML: while parsing"),
        ("", "the file: expected settings with names, got None"),
        ("- image", "the file: expected settings with names, got ['image']"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_users_mistake(tmp_path, content, complaint):
    path = tmp_path / "cluster.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError) as error:
        load_cluster(str(path))
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
