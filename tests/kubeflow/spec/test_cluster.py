import contextlib
import io
import json
import pathlib
import re

import jsonschema
import pytest
import yaml
from tfx.orchestration.local import runner_utils

from kubeflow.spec.cluster import QUEUE, Beam, Cluster, Database, Notify, Retries, Volume, Workers
from kubeflow.spec.file import load_cluster
from kubeflow.spec.parameters import run_config
from kubeflow.spec.pod import PodSettings, SecretKey
from pipeline.cli import main
from pipeline.dag import compile_pipeline, create_pipeline
from pipeline.settings import PipelineConfig
from trainer.errors import UserError
from trainer.schema import SettingError, fields

EXAMPLE = pathlib.Path(__file__).parents[3] / "kubeflow/spec/cluster.yaml"
HOOK = "https://hooks.example.com/vaeiaf"
LEAST = {"image": "vaeiaf:1", "namespace": "ml", "volume": {"claim": "data"}}


def test_the_example_gives_what_has_no_default_and_one_pod():
    values = yaml.safe_load(EXAMPLE.read_text())
    assert {name: values[name] for name in values.keys() - {"tasks"}} == {
        "image": "vaeiaf:0.1.0",
        "namespace": "kubeflow-user-example-com",
        "volume": {"claim": "vaeiaf"},
    }
    assert load_cluster(str(EXAMPLE)).tasks == {"train": PodSettings(cpu="4", memory="8Gi")}


def test_what_is_commented_out_in_the_example_is_valid_too(tmp_path):
    (tmp_path / "cluster.yaml").write_text(uncommented())
    cluster = load_cluster(str(tmp_path / "cluster.yaml"))
    assert cluster.service_account == "vaeiaf"
    assert cluster.tasks["train"].accelerator == "nvidia.com/gpu"
    assert cluster.workers.pod.accelerator == "google.com/tpu"


def uncommented():
    """The example with the settings that are commented out."""
    return re.sub(r"^( *)# ( *[a-z_]+:( .*)?)$", r"\1\2", EXAMPLE.read_text(), flags=re.MULTILINE)


def test_values_survive_the_way_through_json():
    pod = {"tolerations": [{"key": "gpu", "tolerationSeconds": 60}], "env_from_secret": {"A": KEY}, "volumes": [SETS]}
    cluster = Cluster(**LEAST, pod=pod)
    assert Cluster(**json.loads(json.dumps(cluster.to_dict()))) == cluster


@pytest.mark.parametrize("path", ["/mnt/vaeiaf", "/data", "/tmp/x", "/opt/vaeiaf/data", "/home/me/vaeiaf", "/mnt/.v"])
def test_a_volume_may_be_mounted_where_it_hides_nothing(path):
    assert Cluster(**{**LEAST, "volume": {"claim": "my.claim-1", "path": path}}).volume.path == path


@pytest.mark.parametrize(("given", "cpu"), [(2, "2"), (0.5, "0.5"), ("500m", "500m")])
def test_numbers_are_quantities_too(given, cpu):
    assert Cluster(**LEAST, pod={"cpu": given}).pod.cpu == cpu


def test_the_name_of_an_image_may_be_long():
    image = f"registry.example.com/{'x' * 255}@sha256:{'0' * 64}"
    assert Cluster(**{**LEAST, "image": image}).image == image


KEY = {"name": "s", "key": "k"}
SETS = {"claim": "sets", "path": "/sets"}
VOLUME = {"secret": None, "config_map": None, **SETS}

INVALID = [
    ({"image": None}, "image", None),
    ({"image": "a b"}, "image", "a b"),
    ({"namespace": "My_Space"}, "namespace", "My_Space"),
    ({"namespace": "a.b"}, "namespace", "a.b"),
    ({"namespace": "n" * 64}, "namespace", "n" * 64),
    ({"service_account": "My.One"}, "service_account", "My.One"),
    ({"volume": {"claim": "c."}}, "volume.claim", "c."),
    ({"beam": {"runner": "Flink Runner"}}, "beam.runner", "Flink Runner"),
    ({"beam": {"args": ["--runner=FlinkRunner"]}}, "beam.args", "--runner=FlinkRunner"),
    ({"volume": {"claim": "c" * 60 + ".c" * 100}}, "volume.claim", "c" * 60 + ".c" * 100),
    ({"volume": {"claim": "c", "path": "mnt"}}, "volume.path", "mnt"),
    ({"volume": {"claim": "c", "path": "/mnt/../opt"}}, "volume.path", "/mnt/../opt"),
    ({"volume": {"claim": "c", "path": "/mnt/"}}, "volume.path", "/mnt/"),
    ({"volume": {"claim": "c", "path": "/mnt/st*r"}}, "volume.path", "/mnt/st*r"),
    ({"volume": {"claim": "c", "path": "/mnt/a\nb"}}, "volume.path", "/mnt/a\nb"),
    ({"volume": {"claim": "c", "path": "/opt/vaeiaf"}}, "volume.path", "/opt/vaeiaf"),
    ({"volume": {"claim": "c", "path": "/opt"}}, "volume.path", "/opt"),
    ({"volume": {"claim": "c", "path": "/usr/share"}}, "volume.path", "/usr/share"),
    ({"volume": "c"}, "volume", "c"),
    ({"volume": None}, "volume", None),
    ({"databse": {}}, "databse", "databse"),
    ({"database": {"kind": "oracle"}}, "database.kind", "oracle"),
    ({"database": {"port": "3306"}}, "database.port", "3306"),
    ({"database": {"port": 0}}, "database.port", 0),
    ({"database": {"port": 65536}}, "database.port", 65536),
    ({"database": {"host": ""}}, "database.host", ""),
    ({"database": {"name": "a b"}}, "database.name", "a b"),
    ({"database": {"user": ""}}, "database.user", ""),
    ({"database": {"wait_seconds": -1}}, "database.wait_seconds", -1),
    ({"database": {"secret": "A"}}, "database.secret", "A"),
    ({"pod": {"cpu": "two"}}, "pod.cpu", "two"),
    ({"pod": {"cpu": "1Gi"}}, "pod.cpu", "1Gi"),
    ({"pod": {"cpu": True}}, "pod.cpu", True),
    ({"pod": {"memory": "500m"}}, "pod.memory", "500m"),
    ({"pod": {"memory": "1.5Gi"}}, "pod.memory", "1.5Gi"),
    ({"pod": {"image": "a b"}}, "pod.image", "a b"),
    ({"pod": {"accelerator": "a resource", "accelerators": 1}}, "pod.accelerator", "a resource"),
    ({"pod": {"accelerator": "nvidia.com/gpu", "accelerators": -1}}, "pod.accelerators", -1),
    ({"pod": {"accelerator": "nvidia.com/gpu"}}, "pod.accelerator", ["nvidia.com/gpu", 0]),
    ({"pod": {"node_selector": {"disk": True}}}, "pod.node_selector.disk", True),
    ({"pod": {"node_selector": "fast"}}, "pod.node_selector", "fast"),
    ({"pod": {"cpu_limit": "two"}}, "pod.cpu_limit", "two"),
    ({"pod": {"cpu": 1, "cpu_limit": "500m"}}, "pod.cpu_limit", "500m"),
    ({"pod": {"memory_limit": "8 GB"}}, "pod.memory_limit", "8 GB"),
    ({"pod": {"memory": "1Gi", "memory_limit": "1000Mi"}}, "pod.memory_limit", "1000Mi"),
    ({"pod": {"env": {"A B": "x"}}}, "pod.env.A B", "A B"),
    ({"pod": {"env": {"A": True}}}, "pod.env.A", True),
    ({"pod": {"env": ["A"]}}, "pod.env", ["A"]),
    *(({"pod": {"env": {name: "x"}}}, f"pod.env.{name}", name) for name in ("TF_CONFIG", "POD_UID", "KFP_POD_NAME")),
    ({"pod": {"env_from_secret": {"MLMD_PASSWORD": KEY}}}, "pod.env_from_secret.MLMD_PASSWORD", "MLMD_PASSWORD"),
    ({"pod": {"labels": {"a b": "x"}}}, "pod.labels.a b", "a b"),
    ({"pod": {"labels": {"team": "a b"}}}, "pod.labels.team", "a b"),
    ({"pod": {"labels": {"vaeiaf/x": "y"}}}, "pod.labels.vaeiaf/x", "vaeiaf/x"),
    ({"pod": {"annotations": {"vaeiaf/task": "x"}}}, "pod.annotations.vaeiaf/task", "vaeiaf/task"),
    ({"pod": {"pull_secrets": "registry"}}, "pod.pull_secrets", "registry"),
    ({"pod": {"priority_class": "high"}}, "pod.priority_class", "high"),
    ({"tasks": {"train": {"priority_class": "high"}}}, "tasks.train.priority_class", "high"),
    ({"workers": {"pod": {"priority_class": "High"}}}, "workers.pod.priority_class", "High"),
    ({"pod": {"volumes": [{"secret": "a.b", "path": "/x"}]}}, "pod.volumes.0.secret", "a.b"),
    ({"pod": {"volumes": [{"secret": "s", "path": "/etc/x"}]}}, "pod.volumes.0.path", "/etc/x"),
    ({"pod": {"volumes": [SETS, {**SETS, "path": "/b"}]}}, "pod.volumes", "sets"),
    ({"pod": {"volumes": [SETS, {**SETS, "claim": "b"}]}}, "pod.volumes", "/sets"),
    ({"pod": {"volumes": [{**SETS, "claim": "data"}]}}, "pod.volumes", {**VOLUME, "claim": "data"}),
    ({"workers": {"pod": {"volumes": [{**SETS, "path": "/mnt"}]}}}, "workers.pod.volumes", {**VOLUME, "path": "/mnt"}),
    ({"tasks": {"train": {"memory": "8 GB"}}}, "tasks.train.memory", "8 GB"),
    ({"tasks": {"train": {"gpus": 1}}}, "tasks.train.gpus", "gpus"),
    ({"tasks": {"train": 3}}, "tasks.train", 3),
    ({"tasks": {"trian": {}}}, "tasks.trian", "trian"),
    ({"retries": {"count": -1}}, "retries.count", -1),
    ({"retries": {"seconds": -1}}, "retries.seconds", -1),
    ({"retries": {"factor": 0}}, "retries.factor", 0),
    ({"retries": {"factor": 1.5}}, "retries.factor", 1.5),
    ({"retries": {"max_seconds": 600}}, "retries.max_seconds", "max_seconds"),
    ({"retries": {"seconds": 9, "within_seconds": 8}}, "retries.within_seconds", 8),
    ({"retries": {"within_seconds": 3600}}, "retries.within_seconds", 3600),
    ({"workers": {"port": 0}}, "workers.port", 0),
    ({"workers": {"port": 99999}}, "workers.port", 99999),
    ({"workers": {"start_seconds": 0}}, "workers.start_seconds", 0),
    ({"workers": {"deadline_seconds": 0}}, "workers.deadline_seconds", 0),
    ({"workers": {"ttl_seconds": -1}}, "workers.ttl_seconds", -1),
    ({"workers": {"restarts": True}}, "workers.restarts", True),
    ({"workers": {"daily_restarts": -1}}, "workers.daily_restarts", -1),
    ({"workers": {"pod": {"cpu": ""}}}, "workers.pod.cpu", ""),
    ({"workers": {"queue": "My.Queue"}}, "workers.queue", "My.Queue"),
    ({"workers": {"queue_seconds": 0}}, "workers.queue_seconds", 0),
    ({"drop_downs": "yes"}, "drop_downs", "yes"),
    ({"notify": "https://hooks.example.com"}, "notify", "https://hooks.example.com"),
    ({"notify": {"url": "hooks.example.com"}}, "notify.url", "hooks.example.com"),
    ({"notify": {"url": "ftp://hooks.example.com"}}, "notify.url", "ftp://hooks.example.com"),
    ({"notify": {"url": "https://me:word@example.com"}}, "notify.url", "https://me:word@example.com"),
    ({"notify": {"url": HOOK, "secret": "hook"}}, "notify.secret", "hook"),
    ({"notify": {"url": HOOK, "secret": {"name": "A", "key": "k"}}}, "notify.secret.name", "A"),
    ({"notify": {"url": HOOK, "secret": {"name": "a", "key": "a b"}}}, "notify.secret.key", "a b"),
    ({"ui": "kubeflow.example.com"}, "ui", "kubeflow.example.com"),
    ({"time_zone": "Mars/Olympus"}, "time_zone", "Mars/Olympus"),
    ({"time_zone": ""}, "time_zone", ""),
    # without meaning beside the others
    ({"database": {"kind": "sqlite", "host": "db"}}, "database.host", "db"),
    ({"database": {"kind": "sqlite", "port": 3306}}, "database.port", 3306),
    ({"database": {"kind": "sqlite", "name": "n"}}, "database.name", "n"),
    ({"database": {"kind": "sqlite", "user": "u"}}, "database.user", "u"),
    ({"database": {"kind": "sqlite", "secret": "s"}}, "database.secret", "s"),
    ({"retries": {"count": 0, "seconds": 9}}, "retries.seconds", 9),
    ({"retries": {"count": 0, "factor": 3}}, "retries.factor", 3),
    ({"retries": {"count": 0, "within_seconds": 604800}}, "retries.within_seconds", 604800),
]


@pytest.mark.parametrize(("change", "setting", "value"), INVALID)
def test_an_invalid_setting_is_named_with_its_line(tmp_path, change, setting, value):
    error, text = refused(tmp_path, {**LEAST, **change})
    assert (error.exit_code, error.setting, error.failure.value) == (2, setting, value)
    names = setting.split(".")
    start = next(number for number, line in enumerate(text, 1) if line.startswith(f"{names[0]}:"))
    line = next(number for number, line in enumerate(text[start - 1 :], start) if f"{names[-1]}:" in line)
    assert error.failure.sentence == f"{tmp_path}/cluster.yaml, line {line}: {setting}"


@pytest.mark.parametrize(
    ("change", "setting", "value"),
    [
        ({"pod": {"env_from_secret": {"A": {"name": "s"}}}}, "pod.env_from_secret.A.key", None),
        (
            {"pod": {"volumes": [{"path": "/x"}]}},
            "pod.volumes.0.claim",
            {"claim": None, "secret": None, "config_map": None},
        ),
        ({"workers": {"pod": {"labels": {QUEUE: "q"}}}}, f"workers.pod.labels.{QUEUE}", "q"),
        ({"pod": {"env_from_secret": {"A": {"name": "S", "key": "k"}}}}, "pod.env_from_secret.A.name", "S"),
        ({"pod": {"env": {"A": "x"}, "env_from_secret": {"A": KEY}}}, "pod.env_from_secret.A", "A"),
        ({"pod": {"pull_secrets": ["My"]}}, "pod.pull_secrets.0", "My"),
    ],
)
def test_an_invalid_part_of_a_pod_is_named(change, setting, value):
    with pytest.raises(SettingError) as error:
        Cluster(**LEAST, **change)
    assert (error.value.setting, error.value.failure.value) == (setting, value)


def refused(tmp_path, values):
    """The error about a file with these values, and the lines of the file."""
    text = yaml.safe_dump(values)
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(SettingError) as error:
        load_cluster(str(tmp_path / "cluster.yaml"))
    return error.value, text.splitlines()


def test_the_table_above_has_every_setting():
    tables = {"": Cluster, "volume.": Volume, "database.": Database, "pod.": PodSettings, "retries.": Retries}
    tables |= {"beam.": Beam, "notify.": Notify, "notify.secret.": SecretKey}
    wanted = {f"{place}{name}" for place, table in (tables | {"workers.": Workers}).items() for name in fields(table)}
    refused = [setting.split(".") for _, setting, _ in INVALID]
    found = {".".join(names[:end]) for names in refused for end in range(1, 4)} | {"pod.tolerations", "beam.nodes"}
    tables_of_tables = {"beam", "database", "pod", "tasks", "retries", "workers", "workers.pod"}
    assert wanted - found <= tables_of_tables


@pytest.fixture(scope="module")
def schema():
    """What `vaeiaf schema cluster` prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["schema", "cluster"]) == 0
    schema = json.loads(printed.getvalue())
    jsonschema.validators.validator_for(schema).check_schema(schema)
    return schema


@pytest.mark.parametrize(
    "values",
    [
        LEAST,
        yaml.safe_load(EXAMPLE.read_text()),
        yaml.safe_load(uncommented()),
        {
            **LEAST,
            "pod": {
                "cpu_limit": 2,
                "labels": {"app.kubernetes.io/part-of": "x"},
                "env": {"A": 1},
                "env_from_secret": {"A_B": KEY},
                "volumes": [SETS],
            },
        },
        {**LEAST, "workers": {"queue": "gpus", "pod": {"priority_class": "high", "pull_secrets": ["registry"]}}},
        {**LEAST, "pod": {"cpu": 0.5, "memory": "1Gi", "node_selector": {"disk": "fast", "cores": 8}}},
        Cluster(**LEAST).to_dict(),
    ],
    ids=["least", "example", "uncommented", "environment", "queue", "numbers", "defaults"],
)
def test_the_schema_accepts_what_is_valid(schema, values):
    jsonschema.validate(values, schema)
    Cluster(**values)


# Rules over several settings, or of other libraries.
BEYOND = {"volume.path", "pod.accelerator", "time_zone", "retries.within_seconds", "retries.seconds", "retries.factor"}
BEYOND |= {f"pod.{name}_limit" for name in ("cpu", "memory")} | {"pod.labels", "pod.annotations"}
BEYOND |= {"pod.env", "pod.env_from_secret", "pod.priority_class", "tasks.train.priority_class", "pod.volumes"}
BEYOND |= {"workers.pod.volumes", "pod.volumes.0.path"}
BEYOND |= {"beam.args"}
BEYOND |= {f"database.{name}" for name in ("host", "port", "name", "user", "secret")}


@pytest.mark.parametrize(("change", "setting", "value"), INVALID)
def test_the_schema_refuses_what_is_invalid(schema, change, setting, value):
    valid = jsonschema.validators.validator_for(schema)(schema).is_valid({**LEAST, **change})
    assert not valid or setting in BEYOND or setting.rpartition(".")[0] in BEYOND


def test_the_schema_tells_what_an_editor_shows(schema):
    wait = schema["$defs"]["Database"]["properties"]["wait_seconds"]
    assert (wait["default"], wait["minimum"], wait["unit"]) == (900, 0, "seconds")
    assert "unreachable database" in wait["description"]
    assert schema["properties"]["tasks"]["propertyNames"]["enum"] == ["ingest", "train", "gate"]
    assert schema["required"] == ["image", "namespace", "volume"]


@pytest.mark.parametrize(
    ("toleration", "location", "value"),
    [
        ("x", "0", "x"),
        ({"foo": 1}, "0.foo", 1),
        ({"key": 1}, "0.key", 1),
        ({"effect": "NoStart"}, "0.effect", "NoStart"),
        ({"operator": "Exist"}, "0.operator", "Exist"),
        ({"tolerationSeconds": "60"}, "0.tolerationSeconds", "60"),
    ],
)
def test_an_invalid_toleration_is_named_with_its_line(tmp_path, toleration, location, value):
    error, text = refused(tmp_path, {**LEAST, "pod": {"tolerations": [toleration]}})
    assert (error.setting, error.failure.value) == (f"pod.tolerations.{location}", value)
    line = next(number for number, line in enumerate(text, 1) if line.lstrip().startswith("- "))
    assert f"line {line}: pod.tolerations." in error.failure.sentence


def test_a_missing_setting_is_named_with_the_line_of_its_table(tmp_path):
    error, text = refused(tmp_path, {**LEAST, "volume": {"path": "/data"}})
    assert (error.setting, error.failure.value) == ("volume.claim", None)
    assert f"line {text.index('volume:') + 1}: " in error.failure.sentence
    error, _ = refused(tmp_path, {name: value for name, value in LEAST.items() if name != "image"})
    assert (error.setting, error.failure.value) == ("image", None)
    assert "line 1: " in error.failure.sentence


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"image": "a b"}, "image: expected the name of a container image, got 'a b'"),
        ({"namespace": "a.b"}, "namespace: expected a Kubernetes name without dots, got 'a.b'"),
        ({"volume": {"path": "/data"}}, "volume.claim: expected a Kubernetes name, got None"),
        (
            {"volume": {"claim": "c", "path": "x"}},
            "volume.path: expected an absolute path, such as /mnt/vaeiaf, got 'x'",
        ),
        (
            {"volume": {"claim": "c", "path": "/opt"}},
            "volume.path: expected a folder that hides nothing of the image, such as /mnt/vaeiaf, got '/opt'",
        ),
        ({"pod": 3}, "pod: expected settings with names, got 3"),
        ({"pod": {"cpu": "two"}}, "pod.cpu: expected an amount, such as 2 or 500m, got 'two'"),
        ({"pod": {"memory": "8 GB"}}, "pod.memory: expected an amount of memory, such as 4Gi, got '8 GB'"),
        (
            {"pod": {"accelerator": "gpu"}},
            "pod.accelerator: expected a resource, such as nvidia.com/gpu or google.com/tpu, got 'gpu'",
        ),
        (
            {"pod": {"accelerators": 1}},
            "pod.accelerator: expected a resource and accelerators above 0, or neither, got ['', 1]",
        ),
        (
            {"pod": {"gpus": 1}},
            "pod.gpus: expected one of cpu, memory, cpu_limit, memory_limit, accelerator, accelerators, image, "
            "node_selector, tolerations, env, env_from_secret, labels, annotations, pull_secrets, priority_class, "
            "volumes, got 'gpus'",
        ),
        (
            {"pod": {"tolerations": "gpu"}},
            "pod.tolerations: expected a list of key, operator (Exists or Equal), value, effect (NoSchedule, "
            "PreferNoSchedule or NoExecute), tolerationSeconds, got 'gpu'",
        ),
        (
            {"tasks": {"trian": {}}},
            "tasks.trian: expected one of ingest, train, gate, got 'trian'. Did you mean train?",
        ),
        ({"pod": {"cpu": 2, "cpu_limit": 1}}, "pod.cpu_limit: expected at least 2, which is cpu, got '1'"),
        (
            {"pod": {"env": {"TF_CONFIG": "x"}}},
            "pod.env.TF_CONFIG: expected no variable that the pipeline or Kubeflow sets, got 'TF_CONFIG'",
        ),
        ({"pod": {"env": {"A-B": "x"}}}, "pod.env.A-B: expected the name of an environment variable, got 'A-B'"),
        (
            {"pod": {"env": {"A": "x"}, "env_from_secret": {"A": KEY}}},
            "pod.env_from_secret.A: expected no variable that env has too, got 'A'",
        ),
        (
            {"pod": {"labels": {"a b": "x"}}},
            "pod.labels.a b: expected a key, such as team or example.com/team, got 'a b'",
        ),
        (
            {"pod": {"labels": {"job-name": "x"}}},
            "pod.labels.job-name: expected no key that the pipeline, Kubeflow or Kubernetes sets, got 'job-name'",
        ),
        (
            {"pod": {"labels": {"team": "a b"}}},
            "pod.labels.team: expected at most 63 letters, digits, -, _ and ., got 'a b'",
        ),
        ({"pod": {"pull_secrets": "A"}}, "pod.pull_secrets: expected a list of Kubernetes names, got 'A'"),
        (
            {"tasks": {"train": {"priority_class": "high"}}},
            "tasks.train.priority_class: expected none, because Kubeflow Pipelines cannot give it to a task, only "
            "workers.pod may have it, got 'high'. Remove it",
        ),
        (
            {"pod": {"volumes": [{"claim": "a", "secret": "b", "path": "/x"}]}},
            "pod.volumes.0.claim: expected exactly one of claim, secret, config_map, got {'claim': 'a', 'secret': 'b', "
            "'config_map': None}",
        ),
        (
            {"pod": {"volumes": [SETS, SETS]}},
            "pod.volumes: expected volumes that differ in name, got 'sets'",
        ),
        (
            {"pod": {"volumes": [{**SETS, "path": "/mnt"}]}},
            "pod.volumes: expected a volume that neither hides nor names the shared one, got {'claim': 'sets', "
            "'secret': None, 'config_map': None, 'path': '/mnt'}",
        ),
        (
            {"workers": {"pod": {"labels": {QUEUE: "q"}}}},
            "workers.pod.labels.kueue.x-k8s.io/queue-name: expected the queue in workers.queue, got 'q'",
        ),
        ({"database": {"host": ""}}, "database.host: expected the name or address of a host, got ''"),
        (
            {"database": {"kind": "sqlite", "host": "db"}},
            "database.host: expected not to be given without kind mysql, got 'db'. Remove it",
        ),
        (
            {"retries": {"count": 0, "seconds": 9}},
            "retries.seconds: expected not to be given without retries.count, got 9. Remove it",
        ),
        (
            {"retries": {"seconds": 9, "within_seconds": 8}},
            "retries.within_seconds: expected at least 9, which is retries.seconds, got 8",
        ),
        (
            {"retries": {"within_seconds": 3600}},
            "retries.within_seconds: expected at least 604800, which is workers.deadline_seconds, got 3600",
        ),
        ({"time_zone": "CEST"}, "time_zone: expected a name of the IANA database, such as Europe/Berlin, got 'CEST'"),
    ],
)
def test_an_error_says_what_is_valid(tmp_path, change, text):
    assert str(refused(tmp_path, {**LEAST, **change})[0]).partition(": ")[2] == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "PATH cannot be read: No such file or directory. Start from kubeflow/spec/cluster.yaml"),
        ("", "PATH: the file: expected settings with names, got None"),
        ("- image", "PATH: the file: expected settings with names, got ['image']"),
        ("image: 2026-02-30", "PATH is not YAML: day is out of range for month"),
    ],
)
def test_an_unreadable_file_is_a_users_mistake(tmp_path, content, text):
    path = tmp_path / "cluster.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError) as error:
        load_cluster(str(path))
    assert str(error.value) == text.replace("PATH", str(path))


def test_an_error_of_yaml_is_one_line(tmp_path):
    (tmp_path / "cluster.yaml").write_text("image: [\n")
    with pytest.raises(UserError) as error:
        load_cluster(str(tmp_path / "cluster.yaml"))
    assert error.value.failure.value == str(tmp_path / "cluster.yaml")
    assert "line 2, column 1" in str(error.value)
    assert "\n" not in str(error.value)


def test_beam_s_engine_is_for_the_nodes_of_the_table():
    cluster = Cluster(**LEAST, beam={"runner": "FlinkRunner", "args": ["--parallelism=2"], "nodes": ["Evaluator"]})
    config = run_config({}, cluster)
    assert (config.beam_args, config.beam_nodes) == (("--runner=FlinkRunner", "--parallelism=2"), ("Evaluator",))
    assert run_config({}, Cluster(**LEAST)).beam_args == ()


@pytest.mark.parametrize(
    ("beam", "setting", "value"),
    [
        ({"args": ["--streaming", "parallelism=2"]}, "beam.args.1", "parallelism=2"),
        ({"nodes": ["Evaluator", "Trainer"]}, "beam.nodes.1", "Trainer"),
    ],
)
def test_an_invalid_argument_or_node_of_beam_is_named_with_its_line(tmp_path, schema, beam, setting, value):
    error, text = refused(tmp_path, {**LEAST, "beam": beam})
    assert (error.setting, error.failure.value) == (setting, value)
    assert f"line {text.index(f'  - {value}') + 1}: {setting}" in error.failure.sentence
    assert not jsonschema.validators.validator_for(schema)(schema).is_valid({**LEAST, "beam": beam})


def test_beam_s_engine_is_by_default_for_every_node_with_beam_s_work(tmp_path):
    config = PipelineConfig(root=str(tmp_path), serving_data=str(tmp_path))  # with every node that there may be
    graph = compile_pipeline(create_pipeline(config))
    specs = runner_utils.extract_local_deployment_config(graph).executor_specs
    nodes = {node for node, spec in specs.items() if spec.WhichOneof("spec") == "beam_executable_spec"}
    assert {*Beam().nodes} == nodes - {"Transform"}, "Transform has no analyzers, and runs in place"
