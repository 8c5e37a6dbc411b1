import json
import pathlib

import pytest
import yaml

from kubeflow.cluster import Cluster, ClusterError, load_cluster
from trainer.errors import UserError

EXAMPLE = pathlib.Path(__file__).parents[2] / "kubeflow/cluster.yaml"
LEAST = {"image": "vaeiaf:1", "namespace": "ml", "volume": {"claim": "data"}}


def test_the_example_says_what_the_defaults_are():
    values = yaml.safe_load(EXAMPLE.read_text())
    needed = {"image": values["image"], "namespace": values["namespace"], "volume": {"claim": "vaeiaf"}}
    nodes = {"nodes": {"Trainer": values["nodes"]["Trainer"]}}  # as an example
    assert load_cluster(str(EXAMPLE)) == Cluster.from_dict(needed | nodes)


def test_values_survive_the_way_through_json():
    cluster = load_cluster(str(EXAMPLE))
    assert Cluster.from_dict(json.loads(json.dumps(cluster.to_dict()))) == cluster


def test_numbers_are_quantities_too():
    assert Cluster.from_dict({**LEAST, "pod": {"cpu": 2, "memory": "1Gi"}}).pod.cpu == "2"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"image": None}, "image: expected text, got None"),
        ({"image": "a b"}, "image: expected the name of a container image, got 'a b'"),
        ({"namespace": "My_Space"}, "namespace: expected a name of Kubernetes, got 'My_Space'"),
        ({"volume": {}}, "volume.claim: expected a setting, got None"),
        ({"volume": {"claim": "c", "path": "mnt"}}, "volume.path: expected an absolute path, got 'mnt'"),
        ({"volume": "c"}, "volume: expected settings with names, got 'c'"),
        ({"databse": {}}, "databse: expected one of image, namespace"),
        ({"database": {"kind": "oracle"}}, "database.kind: expected one of mysql, sqlite, got 'oracle'"),
        ({"database": {"port": "3306"}}, "database.port: expected a whole number, got '3306'"),
        ({"database": {"port": 70000}}, "database.port: expected a port, got 70000"),
        ({"database": {"wait_seconds": -1}}, "database.wait_seconds: expected a number of seconds that is not"),
        ({"database": {"secret": "A"}}, "database.secret: expected a name of Kubernetes, got 'A'"),
        ({"pod": {"cpu": "two"}}, "pod.cpu: expected a quantity of Kubernetes, as 2 or 500m, got 'two'"),
        ({"nodes": {"Trainer": {"memory": "8 GB"}}}, "nodes.Trainer.memory: expected a quantity"),
        ({"nodes": {"Trainer": {"gpus": 1}}}, "nodes.Trainer.gpus: expected one of cpu, memory, accelerator"),
        ({"nodes": {"Trainer": {"accelerators": 1}}}, "nodes.Trainer.accelerator: expected a resource name and"),
        ({"pod": {"tolerations": ["x"]}}, "pod.tolerations: expected a list of settings with names, got ['x']"),
        ({"retries": {"count": -1}}, "retries.count: expected a number that is not negative, got -1"),
        ({"retries": {"factor": 0.5}}, "retries.seconds: expected 0 <= seconds <= max_seconds and factor >= 1"),
        ({"workers": {"port": 0}}, "workers.port: expected a number above 0, got 0"),
        ({"workers": {"restarts": True}}, "workers.restarts: expected a whole number, got True"),
        ({"workers": {"pod": {"cpu": ""}}}, "workers.pod.cpu: expected a quantity of Kubernetes"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_its_place(change, complaint):
    with pytest.raises(ClusterError) as error:
        Cluster.from_dict({**LEAST, **change})
    assert str(error.value).startswith(f"cluster.yaml: {complaint}")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read: No such file or directory. Start from kubeflow/cluster.yaml"),
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
