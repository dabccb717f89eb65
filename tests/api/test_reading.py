"""How the API reads: to kubectl, to a program that lists, to a person who asks what a field means."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from longtask_api import constants, crd
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from tests.api.conftest import MakeTask
from tests.api.objects import FAILED, RUNNING, SUCCEEDED, TOLD, condition, task, template
from tests.kube import Kube, eventually

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
KINDS = [(LongTask, crd.task_crd()), (LongTaskTemplate, crd.template_crd())]

NOT_READY = {"conditions": [condition("Ready", "False", "PodSecurity", "runs as root")]}


@pytest.mark.parametrize("status", [RUNNING, SUCCEEDED, FAILED, TOLD], ids=lambda status: status["message"])
def test_a_stored_task_reads_as_the_model(a_task: MakeTask, status: dict[str, Any]) -> None:
    read = LongTask.from_api(a_task(status=status).read())

    defaults: dict[str, Any] = {"attempts": [], "conditions": [], "inputRequests": [], "notifications": []}
    assert read.to_api()["status"] == defaults | status


def test_a_stored_template_reads_as_the_model(a_template: MakeTask) -> None:
    stored = a_template().read()

    assert LongTaskTemplate.from_api(stored).to_api()["spec"] == stored["spec"] | {
        "podTemplate": stored["spec"]["podTemplate"] | {"metadata": {"labels": {}, "annotations": {}}}
    }


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("status.phase=Running", ["running"]),
        ("status.phase!=Running", ["failed", "new"]),
        ("spec.templateRef.name=other", ["new"]),
        ("spec.templateRef.name=training,status.phase=Failed", ["failed"]),
        ("status.phase=", ["new"]),
    ],
)
def test_tasks_are_selected_by_template_and_phase(blobs: Kube, selector: str, found: list[str]) -> None:
    items = blobs.get(blobs.path(constants.TASK_PLURAL), fieldSelector=selector).done()["items"]

    assert [item["metadata"]["name"] for item in items] == found


def test_other_fields_cannot_be_selected_by(blobs: Kube) -> None:
    answer = blobs.get(blobs.path(constants.TASK_PLURAL), fieldSelector="spec.suspend=true")

    assert answer.code == 400


@pytest.mark.parametrize(
    ("plural", "kind", "short"),
    [("longtasks", "LongTask", "lt"), ("longtasktemplates", "LongTaskTemplate", "ltt")],
)
def test_discovery_tells_short_name_and_category(cluster: Kube, plural: str, kind: str, short: str) -> None:
    resources = cluster.get(f"/apis/{constants.API_VERSION}").done()["resources"]

    (resource,) = [resource for resource in resources if resource["name"] == plural]
    assert (resource["kind"], resource["shortNames"], resource["categories"]) == (kind, [short], ["mcp"])
    assert resource["namespaced"]
    assert f"{plural}/status" in {resource["name"] for resource in resources}


def test_columns_of_tasks(blobs: Kube) -> None:
    table = blobs.request("GET", blobs.path(constants.TASK_PLURAL), accept=TABLE).done()

    columns = [column["name"] for column in table["columnDefinitions"]]
    assert columns == ["Name", "Template", "Phase", "Progress", "Age", "Attempts", "Job", "Requester", "Message"]
    assert [column["name"] for column in table["columnDefinitions"] if column["priority"]] == columns[5:]
    rows = {row["cells"][0]: [*row["cells"][1:4], *row["cells"][5:]] for row in table["rows"]}
    assert rows == {
        "running": ["training", "Running", "60% (6/10 epoch)", 2, RUNNING["jobRef"]["name"], "bob", RUNNING["message"]],
        "failed": ["training", "Failed", "60% (6/10 epoch)", 1, FAILED["jobRef"]["name"], None, FAILED["message"]],
        "new": ["other", None, None, None, None, None, None],
    }


def test_columns_of_templates(blobs: Kube) -> None:
    table = blobs.request("GET", blobs.path(constants.TEMPLATE_PLURAL), accept=TABLE).done()

    columns = [column["name"] for column in table["columnDefinitions"]]
    assert columns == ["Name", "Title", "Ready", "Reason", "Age", "Message"]
    assert [column["name"] for column in table["columnDefinitions"] if column["priority"]] == ["Message"]
    assert [[*row["cells"][1:4], row["cells"][5]] for row in table["rows"]] == [
        ["Model Training", "False", "PodSecurity", "runs as root"]
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lt", "failed"], r"failed +training +Failed +60% \(6/10 epoch\) +\S+"),
        (
            ["longtasks", "-o", "wide", "running"],
            rf"running +training +Running .* 2 +{RUNNING['jobRef']['name']} +bob +epoch 6 of 10, val 0\.81",
        ),
        (["ltt"], r"model-training +Model Training +False +PodSecurity +\S+"),
        (["mcp"], r"longtask\.longtask\.dev/new +other +\S+"),
    ],
)
def test_kubectl_get(blobs: Kube, kubectl: Callable[..., str], arguments: list[str], line: str) -> None:
    printed = kubectl(blobs, "get", *arguments)

    assert any(re.fullmatch(line, row.rstrip()) for row in printed.splitlines()), printed


def test_kubectl_describe_tells_why_a_task_failed(blobs: Kube, kubectl: Callable[..., str]) -> None:
    printed = kubectl(blobs, "describe", "lt", "failed")

    for key, value in [("Reason", "OOMKilled"), ("Exit Code", "137"), ("Hint", FAILED["failure"]["hint"])]:
        assert re.search(rf"\n +{key}: +{re.escape(value)}\n", printed), printed
    assert FAILED["failure"]["logTail"] in printed


def test_kubectl_says_which_field_was_refused_and_what_to_do(blobs: Kube, kubectl: Callable[..., str]) -> None:
    patch = '{"spec": {"parameters": {"epochs": 20}}}'

    printed = kubectl(blobs, "patch", "lt", "new", "--type=merge", "-p", patch)

    assert printed.strip() == (
        'The LongTask "new" is invalid: spec.parameters: Forbidden: '
        "parameters cannot change once the task exists: create another LongTask instead"
    )


@pytest.mark.parametrize(
    "field",
    [
        "longtask.spec",
        "longtask.spec.parameters",
        "longtask.status",
        "longtask.status.progress",
        "longtask.status.checkpoint",
        "longtask.status.checkpoint.reference",
        "longtask.status.inputRequests",
        "longtask.status.result",
        "longtask.status.failure",
        "longtask.status.failure.hint",
        "longtask.status.result.value",
        "longtask.spec.memory",
        "longtask.status.delivery",
        "longtask.status.delivery.events",
        "longtask.status.archive",
        "longtasktemplate.spec.delivery",
        "longtasktemplate.spec.resultSchema",
        "longtasktemplate.spec.stall",
        "longtasktemplate.spec.podTemplate.spec.containers",
    ],
)
def test_kubectl_explain_tells_what_the_schema_says(kube: Kube, kubectl: Callable[..., str], field: str) -> None:
    kind, *path = field.split(".")
    document = {model.__name__.lower(): document for model, document in KINDS}[kind]
    schema = _schema(document)
    for name in path:
        schema = schema["properties"][name]

    printed = kubectl(kube, "explain", field)

    told = " ".join(printed.split())
    assert " ".join(schema["description"].split()) in told
    for name, child in schema.get("items", schema).get("properties", {}).items():
        assert re.search(rf"^  {name}\t<", printed, re.MULTILINE)
        assert " ".join(child["description"].split()) in told


@pytest.mark.parametrize(("model", "document"), KINDS, ids=["LongTask", "LongTaskTemplate"])
def test_every_field_is_described_where_the_cluster_publishes_it(
    cluster: Kube, model: type[LongTask] | type[LongTaskTemplate], document: dict[str, Any]
) -> None:
    def published() -> Any:
        schemas = cluster.get(f"/openapi/v3/apis/{constants.API_VERSION}").done()["components"]["schemas"]
        return schemas[f"dev.longtask.{constants.VERSION}.{model.__name__}"]

    fields = dict(_fields(eventually(published, lambda schema: "properties" in schema)))

    assert set(dict(_fields(_schema(document)))) - {"metadata.name"} <= set(fields)
    assert [path for path, schema in fields.items() if not schema.get("description", "").strip()] == []


@pytest.fixture(scope="module")
def blobs(new_namespace: Callable[[], Kube]) -> Kube:
    """A namespace with three tasks and a template, as different as they come."""
    blobs = new_namespace()
    for wanted, status in [
        (task("running", {"requester": {"principal": "bob"}}), RUNNING),
        (task("failed"), FAILED),
        (task("new", {"templateRef": {"name": "other"}}), None),
        (template("model-training", {"title": "Model Training"}), NOT_READY),
    ]:
        plural = constants.TASK_PLURAL if wanted["kind"] == constants.TASK_KIND else constants.TEMPLATE_PLURAL
        created = blobs.create(blobs.path(plural), wanted).done()
        if status is not None:
            path = blobs.path(plural, created["metadata"]["name"], "status")
            blobs.request("PUT", path, created | {"status": status}).done()
    return blobs


def _schema(document: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}{name}", child
        yield from _fields(child, f"{path}{name}.")
    if "properties" in schema.get("items", {}):
        yield from _fields(schema["items"], path)
