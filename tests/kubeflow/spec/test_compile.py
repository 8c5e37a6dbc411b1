import concurrent.futures
import copy
import dataclasses
import json
import pathlib
import re

import pytest
import yaml
from ir_walk import problems
from kfp import components
from webhook_receiver import SECRET

from components.drift.names import SPAN_DRIFT
from kubeflow.node import notify
from kubeflow.node.task import read_task
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.compile import compile_to
from kubeflow.spec.contract import ARGO_NODE
from kubeflow.spec.file import load_cluster
from kubeflow.spec.parameters import parameters, run_config
from kubeflow.spec.tasks import OF_SPANS, SERVING, TASKS, VERDICT, left_out
from pipeline.dag import create_pipeline
from pipeline.settings import NOTIFY_SECRET
from trainer.presets import PRESETS
from trainer.schema import SettingError
from trainer.settings import STRATEGIES

ROOT = pathlib.Path(__file__).parents[3]
HOOK = "https://hooks.example.com/vaeiaf"
GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
RELEASE = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE).group(1)
DEFAULTS = {name: found.default for name, found in parameters().items()}


@pytest.fixture(scope="module")
def cluster():
    return load_cluster(str(ROOT / "kubeflow/spec/cluster.yaml"))


@pytest.fixture(scope="module")
def package(cluster, tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "vaeiaf.yaml"
    compile_quickly(path, cluster)
    return path


def compile_quickly(path, cluster):
    """Compiles in a thread, because KFP's compiler looks at the whole stack, and that of pytest is long."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(compile_to, str(path), cluster).result()


@pytest.fixture(scope="module")
def loaded(package):
    return load(package)


@pytest.fixture
def documents(loaded):
    """The IR and the platform's part, fresh, to break."""
    return copy.deepcopy(loaded)


def load(path):
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def executor(ir, task):
    return ir["deploymentSpec"]["executors"][f"exec-{task}"]["container"]


def test_nothing_in_it_is_known_to_break_on_a_cluster(documents):
    assert problems(*documents) == []


@pytest.mark.parametrize(
    ("mutate", "complaint"),
    [
        (lambda ir, _: ir.update(schemaVersion="2.0.0"), "schemaVersion"),
        (lambda ir, _: ir["pipelineInfo"].update(name="VAE IAF"), "no name of Kubernetes"),
        (lambda ir, _: ir["root"]["inputDefinitions"].update(artifacts={"x": {}}), "takes an artifact"),
        (lambda ir, _: ir["root"]["inputDefinitions"]["parameters"]["epochs"].pop("defaultValue"), "no default"),
        (lambda ir, _: ir["root"]["inputDefinitions"]["parameters"]["epochs"].pop("description"), "no description"),
        (lambda ir, _: task(ir)["taskInfo"].update(name="train: {{x}}"), "not only letters"),
        (lambda ir, _: task(ir)["cachingOptions"].update(enableCache=True), "cached by Kubeflow"),
        (lambda ir, _: task(ir)["dependentTasks"].append("nobody"), "which is none"),
        (lambda ir, _: task(ir)["retryPolicy"].update(backoffMaxDuration="3600s"), "longer than 3600s is not tried"),
        (lambda ir, _: task(ir)["retryPolicy"].update(backoffFactor=1.5), "no whole number"),
        (lambda ir, _: task(ir)["inputs"]["parameters"].pop("seed"), "seed is not given"),
        (
            lambda ir, _: task(ir)["inputs"]["parameters"].update(seed={"componentInputParameter": "grain"}),
            "from nowhere",
        ),
        (
            lambda ir, _: task(ir)["inputs"]["parameters"].update(
                run_id={"runtimeValue": {"constant": "run-{{$.pipeline_job_uuid}}"}}
            ),
            "input run_id is run-",
        ),
        (lambda ir, _: ir["root"]["dag"]["tasks"].update(Bad_Name=task(ir)), "task Bad_Name"),
        (lambda ir, _: ir["components"]["comp-train"].pop("executorLabel"), "has no executor"),
        (lambda ir, _: executor(ir, "train")["args"].append("{{$.outputs.output_file}}"), "output_file"),
        (lambda ir, _: executor(ir, "train")["args"].append("--in={{$}}"), "argument with"),
        (lambda ir, _: executor(ir, "train")["args"].append("x" * 128 * 1024), "bytes"),
        (lambda ir, _: ir["deploymentSpec"]["executors"].update({"exec-train": {"resolver": {}}}), "no container"),
        (lambda _, platform: pod(platform).pop("pvcMount"), "mounts no volume"),
        (lambda _, platform: pod(platform).pop("secretAsEnv"), "no password"),
    ],
)
def test_what_breaks_on_a_cluster_is_found(documents, mutate, complaint):
    mutate(*documents)
    assert any(complaint in problem for problem in problems(*documents))


@pytest.fixture(scope="module")
def notifying(cluster, tmp_path_factory):
    """The text of a package whose runs notify a webhook, compiled where the secret is in the environment."""
    path = tmp_path_factory.mktemp("notifying") / "vaeiaf.yaml"
    secret = {"name": "hook", "key": "signing"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(NOTIFY_SECRET, SECRET)
        compile_quickly(path, Cluster(**cluster.to_dict() | {"notify": {"url": HOOK, "secret": secret}}))
    return path.read_text()


def test_with_a_webhook_nothing_breaks_on_a_cluster_either(notifying):
    assert problems(*yaml.load_all(notifying, yaml.CSafeLoader)) == []


def test_an_exit_handler_runs_whatever_the_nodes_come_to(notifying, documents):
    ir, _ = yaml.load_all(notifying, yaml.CSafeLoader)
    tasks = ir["root"]["dag"]["tasks"]
    assert set(tasks) == {"exit-handler-1", "notify"}
    assert tasks["notify"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert tasks["notify"]["dependentTasks"] == ["exit-handler-1"]
    handled, plain = ir["components"]["comp-exit-handler-1"]["dag"]["tasks"], documents[0]["root"]["dag"]["tasks"]
    for spec in (*handled.values(), *plain.values()):
        spec["inputs"] = {}  # they have other names within the handler
    assert handled == plain


def test_only_the_exit_handler_knows_the_webhook_and_nobody_the_secret(notifying):
    ir, platform = yaml.load_all(notifying, yaml.CSafeLoader)
    assert notifying.count(HOOK) == 1
    assert HOOK in str(executor(ir, "notify")["args"])
    assert SECRET.removeprefix("whsec_") not in notifying
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    given = {name: spec for name, spec in pods.items() if NOTIFY_SECRET in str(spec)}
    assert set(given) == {"exec-notify"}
    (found,) = [one for one in given["exec-notify"]["secretAsEnv"] if one["secretName"] == "hook"]
    assert found["keyToEnv"] == [{"secretKey": "signing", "envVar": NOTIFY_SECRET}]
    assert found["optional"], "without it the pod would wait for a missing Secret, and the run would never end"


def test_what_the_exit_handler_is_told_is_what_it_understands(notifying, cluster, monkeypatch):
    ir, _ = yaml.load_all(notifying, yaml.CSafeLoader)
    seen = []
    monkeypatch.setattr(notify, "_tell", lambda *given: seen.append(given) or 0)
    container = executor(ir, "notify")
    given = json.dumps({"inputs": {"parameterValues": {**DEFAULTS, "run_id": "r1"}}, "outputs": {}})
    assert container["command"] == ["python", "-P", "-m", notify.__name__]
    assert notify.main([given if argument == "{{$}}" else argument for argument in container["args"]]) == 0
    ((told, run_id, values, _),) = seen
    assert (told.volume, told.notify.url, run_id, values) == (cluster.volume, HOOK, "r1", DEFAULTS)


def test_without_a_webhook_there_is_no_trace_of_one(package):
    assert not re.search("notify|exit-handler", package.read_text(), re.IGNORECASE)


def task(ir):
    return ir["root"]["dag"]["tasks"]["train"]


def pod(platform):
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]


def test_the_form_has_every_parameter_with_its_type_and_default(documents):
    form = documents[0]["root"]["inputDefinitions"]["parameters"]
    kinds = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": float, "BOOLEAN": bool, "STRUCT": dict}
    assert {name: (kinds[spec["parameterType"]], spec["defaultValue"]) for name, spec in form.items()} == {
        name: (found.kind, found.default) for name, found in parameters().items()
    }
    assert "draws K of z per image" in form["eval_samples"]["description"]
    assert len(documents[0]["pipelineInfo"]["description"]) <= 1024, "Kubeflow's specification allows no more"


@pytest.mark.parametrize(
    "parameters",
    [
        {"tune": 1, "serving_data": "served"},
        {"data": "photos/{SPAN}"},
        {"data": "photos/{SPAN}", "serving_data": "served"},
    ],
)
def test_the_tasks_run_every_node_in_its_order_and_the_verdict_at_the_end(parameters, cluster):
    config = run_config(parameters, cluster)
    nodes = create_pipeline(config).components
    done = []
    for name in (name for stage in TASKS.values() for name in stage.nodes if name not in {VERDICT, *left_out(config)}):
        (node,) = (node for node in nodes if node.id == name)
        assert {before.id for before in node.upstream_nodes} <= set(done)
        done.append(name)
    assert {*done} == {node.id for node in nodes}
    assert list(TASKS.values())[-1].nodes[-1] == VERDICT


def test_the_tasks_run_one_after_another(documents):
    tasks = documents[0]["root"]["dag"]["tasks"]
    assert {name: spec.get("dependentTasks", []) for name, spec in tasks.items()} == {
        "ingest": [],
        "train": ["ingest"],
        "gate": ["train"],
    }


def test_the_ui_shows_every_title_whole(documents):
    titles = {name: spec["taskInfo"]["name"] for name, spec in documents[0]["root"]["dag"]["tasks"].items()}
    assert titles == {name: stage.title for name, stage in TASKS.items()}
    assert max(map(len, titles.values())) <= 22


def test_the_outputs_are_named_for_what_they_are(documents):
    outputs = {
        name: sorted(spec.get("outputDefinitions", {}).get("artifacts", {}))
        for name, spec in documents[0]["components"].items()
    }
    assert outputs == {
        "comp-ingest": ["drift_metrics", "drift_page"],
        "comp-train": ["skew_metrics", "skew_page", "training_metrics", "training_page"],
        "comp-gate": ["evaluation_metrics", "report_page"],
    }


def test_what_a_container_is_told_is_what_its_task_understands(documents, cluster):
    for name in TASKS:
        task = told(executor(documents[0], name), DEFAULTS | {"epochs": 3.0})
        assert (task.name, task.run_id, task.cluster, task.config.train.epochs) == (name, "r1", cluster, 3)


def told(container, parameters):
    """The task as the container understands it, of a run with these parameters."""
    given = json.dumps({"inputs": {"parameterValues": {**parameters, "run_id": "r1"}}, "outputs": {}})
    return read_task([given if argument == "{{$}}" else argument for argument in container["args"]])


def test_every_task_is_tried_again_and_knows_it(documents):
    ir, platform = documents
    assert all("retryPolicy" in spec for spec in ir["root"]["dag"]["tasks"].values())
    for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        known = {field["name"]: field["fieldPath"] for field in executor["fieldPathAsEnv"]}
        assert known[ARGO_NODE] == "metadata.annotations['workflows.argoproj.io/node-name']"


@pytest.mark.parametrize("parameters", [{}, {"data": "photos/{SPAN}"}])
def test_a_run_does_without_the_nodes_that_are_said_to_be_left_out_and_no_other(parameters, cluster):
    config = run_config(parameters, cluster)
    nodes = {node.id for node in create_pipeline(config).components}
    assert {name for stage in TASKS.values() for name in stage.nodes} - nodes == {*left_out(config), VERDICT}


def test_retries_may_go_on_for_as_long_as_the_cluster_says(documents, cluster):
    policies = [task["retryPolicy"] for task in documents[0]["root"]["dag"]["tasks"].values() if "retryPolicy" in task]
    assert cluster.retries.within_seconds >= cluster.workers.deadline_seconds
    assert {policy["backoffMaxDuration"] for policy in policies} == {f"{cluster.retries.within_seconds}s"}
    assert {policy["maxRetryCount"] for policy in policies} == {cluster.retries.count}


def test_arguments_that_beam_refuses_are_found_before_a_run(cluster, tmp_path):
    values = {**cluster.to_dict(), "beam": {"runner": "FlinkRunner", "args": ["--parallelism=two"]}}
    with pytest.raises(SettingError) as error:
        compile_quickly(tmp_path / "vaeiaf.yaml", Cluster(**values))
    assert error.value.setting == "beam.args"


def test_a_node_gets_the_pod_that_the_cluster_gives_it(cluster, tmp_path):
    values = cluster.to_dict()
    values["tasks"]["train"] = {
        "cpu": "500m",
        "memory": "2Gi",
        "image": "vaeiaf:gpu",
        "accelerator": "nvidia.com/gpu",
        "accelerators": 2,
        "node_selector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
    }
    compile_quickly(tmp_path / "p.yaml", Cluster(**values))
    ir, platform = load(tmp_path / "p.yaml")
    assert executor(ir, "train")["image"] == "vaeiaf:gpu"
    assert executor(ir, "gate")["image"] == cluster.image
    resources = executor(ir, "train")["resources"]
    assert resources["resourceCpuRequest"] == "500m"
    assert "resourceCpuLimit" not in resources
    assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"] == "2Gi"
    assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert resources["accelerator"]["resourceCount"] == "2"
    assert pod(platform)["nodeSelector"] == {"labels": {"disk": "fast"}}
    (toleration,) = pod(platform)["tolerations"]
    assert {name: str(value) for name, value in toleration.items()} == {
        "key": "gpu",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": "60",
    }


def test_a_task_gets_limits_environment_labels_and_volumes(cluster, tmp_path):
    values = cluster.to_dict()
    values["tasks"]["train"] = {
        "cpu": "1",
        "cpu_limit": 2.5,
        "memory": "2Gi",
        "memory_limit": "4Gi",
        "env": {"HTTPS_PROXY": "http://proxy:3128", "RETRIES": 3},
        "env_from_secret": {"TOKEN": {"name": "hub", "key": "token"}},
        "labels": {"team": "vision"},
        "annotations": {"example.com/cost": "4711"},
        "pull_secrets": ["registry", "mirror"],
        "volumes": [
            {"claim": "sets", "path": "/data/sets"},
            {"secret": "keys", "path": "/data/keys"},
            {"config_map": "authorities", "path": "/data/ca"},
        ],
    }
    compile_quickly(tmp_path / "p.yaml", Cluster(**values))
    ir, platform = load(tmp_path / "p.yaml")
    assert problems(ir, platform) == []
    resources = executor(ir, "train")["resources"]
    assert (resources["resourceCpuRequest"], resources["resourceCpuLimit"]) == ("1", "2.5")
    assert (resources["resourceMemoryRequest"], resources["resourceMemoryLimit"]) == ("2Gi", "4Gi")
    assert {one["name"]: one["value"] for one in executor(ir, "train")["env"]} == {
        "HTTPS_PROXY": "http://proxy:3128",
        "RETRIES": "3",
    }
    found = pod(platform)
    secrets = {one["secretName"]: one["keyToEnv"] for one in found["secretAsEnv"]}
    assert secrets["hub"] == [{"secretKey": "token", "envVar": "TOKEN"}]
    assert set(secrets) == {"hub", cluster.database.secret}
    assert found["podMetadata"] == {
        "labels": {"team": "vision"},
        "annotations": {"example.com/cost": "4711", "vaeiaf/task": "train"},
    }
    assert [one["secretName"] for one in found["imagePullSecret"]] == ["registry", "mirror"]
    claims = {one["constant"]: one["mountPath"] for one in found["pvcMount"]}
    assert claims == {"sets": "/data/sets", cluster.volume.claim: cluster.volume.path}
    assert [(one["secretName"], one["mountPath"]) for one in found["secretAsVolume"]] == [("keys", "/data/keys")]
    (config_map,) = found["configMapAsVolume"]
    assert (config_map["configMapName"], config_map["mountPath"]) == ("authorities", "/data/ca")
    other = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-gate"]
    assert other.keys().isdisjoint({"imagePullSecret", "secretAsVolume", "configMapAsVolume"})
    assert "env" not in executor(ir, "gate")


def test_parameters_with_few_values_are_drop_downs_where_kubeflow_knows_them(documents, cluster, tmp_path):
    """Kubeflow Pipelines before 2.16 calls a pipeline with the field `literals` no pipeline."""
    form = documents[0]["root"]["inputDefinitions"]["parameters"]
    choices = {name: spec["literals"] for name, spec in form.items() if "literals" in spec}
    assert choices == {
        "preset": list(PRESETS),
        "strategy": list(STRATEGIES),
        "on_drift": ["warn", "stop"],
        "warm_start": ["none", "true", "false"],
    }
    assert all(form[name]["defaultValue"] in literals for name, literals in choices.items())
    compile_quickly(tmp_path / "p.yaml", dataclasses.replace(cluster, drop_downs=False))
    assert "literals" not in (tmp_path / "p.yaml").read_text()


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("vaeiaf-*.yaml")), ids=lambda path: path.stem)
def test_the_sdk_loads_the_pipeline_of_every_release(golden):
    loaded = components.load_component_from_file(str(golden))
    assert set(loaded.component_spec.inputs) <= set(DEFAULTS)
    assert problems(*load(golden)) == []


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("vaeiaf-*.yaml")), ids=lambda path: path.stem)
def test_this_image_runs_the_pipeline_of_every_release(golden, cluster):
    ir = load(golden)[0]
    defaults = {
        name: spec["defaultValue"] for name, spec in ir["root"]["inputDefinitions"]["parameters"].items()
    }  # as a run started in the UI has them, whole numbers as floats
    tasks = [told(found["container"], defaults) for found in ir["deploymentSpec"]["executors"].values()]
    every = {name for stage in TASKS.values() for name in stage.nodes}
    missing = every - {name for task in tasks for name in task.nodes}
    assert missing <= {*OF_SPANS, *SERVING, SPAN_DRIFT}, "the first releases compared no data and had no spans"
    assert {task.config for task in tasks} == {run_config({}, cluster)}


@pytest.mark.parametrize("line", (GOLDEN / "clusters.jsonl").read_text().splitlines())
def test_this_image_accepts_the_cluster_of_earlier_pipeline_versions(line):
    earlier = json.loads(line)
    told = {"inputs": {"parameterValues": {**DEFAULTS, "run_id": "r1"}}, "outputs": {}}
    task = read_task(["--node=Trainer", f"--cluster={json.dumps(earlier)}", f"--executor-input={json.dumps(told)}"])
    earlier.pop("nodes")  # only a compiler needs them
    now = task.cluster.to_dict()
    assert _within(earlier, now)
    assert task.cluster == Cluster(**earlier), "what they lack has its default"


def _within(earlier, now):
    """Whether all settings of the table `earlier` have the same values in `now`."""
    if isinstance(earlier, dict):
        return all(_within(value, now[name]) for name, value in earlier.items())
    return earlier == now


def test_the_golden_file_of_this_release_is_what_is_compiled_but_for_descriptions(loaded):
    golden = GOLDEN / f"vaeiaf-{RELEASE}.yaml"
    assert without_descriptions(load(golden)) == without_descriptions(loaded), (
        "if it was meant to change: vaeiaf compile --cluster kubeflow/spec/cluster.yaml "
        f"--output {golden.relative_to(ROOT)}"
    )


def without_descriptions(value):
    if isinstance(value, list):
        return [without_descriptions(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: without_descriptions(item) for name, item in value.items() if name != "description"}
