"""What may be created, and what the API server fills in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from longtask_api import constants
from tests.api.conftest import MakeTask
from tests.api.objects import task, template
from tests.kube import Answer, Kube

TASK_NAME = "the name of a LongTask has at most 52 characters, of a-z, 0-9 and '-', and starts with a letter"
TEMPLATE_NAME = (
    "the name of a LongTaskTemplate has at most 40 characters, of a-z, 0-9 and '-', and starts with a letter"
)

CREATES: Final[Mapping[str, Callable[[Kube, str, dict[str, Any]], Answer]]] = {
    "POST": lambda kube, plural, body: kube.create(kube.path(plural), body),
    "server-side apply": lambda kube, plural, body: kube.apply(kube.path(plural, body["metadata"]["name"]), body),
}


@dataclass(frozen=True)
class Case:
    """An object that is refused, and what the API server says of which field."""

    what: str
    body: dict[str, Any]
    says: str
    field: str


def _container(**fields: Any) -> dict[str, Any]:
    return {"podTemplate": {"spec": {"containers": [fields]}}}


REFUSED_NAMES = [
    Case("a name of 53", task("a" * 53), TASK_NAME, "metadata.name"),
    Case("a name with a dot", task("training.1"), TASK_NAME, "metadata.name"),
    Case("a name that starts with a digit", task("1-training"), TASK_NAME, "metadata.name"),
    Case("a template's name of 41", template("a" * 41), TEMPLATE_NAME, "metadata.name"),
    Case("a template's name with a dot", template("training.v1"), TEMPLATE_NAME, "metadata.name"),
    Case("a template's name that starts with a digit", template("3d-model"), TEMPLATE_NAME, "metadata.name"),
]

REFUSED = [
    Case(
        "an empty template name",
        task("x", {"templateRef": {"name": ""}}),
        "at least 1 chars long",
        "spec.templateRef.name",
    ),
    Case(
        "a template name too long",
        task("x", {"templateRef": {"name": "a" * 41}}),
        "Too long: may not be more than 40 bytes",
        "spec.templateRef.name",
    ),
    Case("a list for parameters", task("x", {"parameters": [1]}), "must be of type object", "spec.parameters"),
    Case(
        "a negative ttl",
        task("x", {"ttlSecondsAfterFinished": -1}),
        "greater than or equal to 0",
        "spec.ttlSecondsAfterFinished",
    ),
    Case(
        "no time at all",
        task("x", {"activeDeadlineSeconds": 0}),
        "greater than or equal to 1",
        "spec.activeDeadlineSeconds",
    ),
    Case("an empty key", task("x", {"idempotencyKey": ""}), "at least 1 chars long", "spec.idempotencyKey"),
    Case("a requester without a principal", task("x", {"requester": {}}), "Required value", "spec.requester.principal"),
    Case(
        "33 answers",
        task("x", {"inputResponses": [{"requestId": str(n), "value": ""} for n in range(33)]}),
        "must have at most 32 items",
        "spec.inputResponses",
    ),
    Case(
        "a template without a description", template("x", {"description": None}), "Required value", "spec.description"
    ),
    Case("an empty description", template("x", {"description": ""}), "at least 1 chars long", "spec.description"),
    Case("no pod", template("x", {"podTemplate": None}), "Required value", "spec.podTemplate"),
    Case("a pod without a spec", template("x", {"podTemplate": {}}), "Required value", "spec.podTemplate.spec"),
    Case(
        "a pod without containers",
        template("x", {"podTemplate": {"spec": {}}}),
        "Required value",
        "spec.podTemplate.spec.containers",
    ),
    Case(
        "no container",
        template("x", {"podTemplate": {"spec": {"containers": []}}}),
        "at least 1 items",
        "spec.podTemplate.spec.containers",
    ),
    Case(
        "a container without an image",
        template("x", _container(name="main")),
        "Required value",
        "spec.podTemplate.spec.containers[0].image",
    ),
    Case(
        "an empty image",
        template("x", _container(name="main", image="")),
        "at least 1 chars long",
        "spec.podTemplate.spec.containers[0].image",
    ),
    Case(
        "a container without a name",
        template("x", _container(image="a:1")),
        "Required value",
        "spec.podTemplate.spec.containers[0].name",
    ),
    Case(
        "a negative retry limit",
        template("x", {"retry": {"limit": -1}}),
        "greater than or equal to 0",
        "spec.retry.limit",
    ),
    Case(
        "a stall without a time",
        template("x", {"stall": {"action": "Retry"}}),
        "Required value",
        "spec.stall.timeoutSeconds",
    ),
    Case(
        "a stall sooner than reports are written",
        template("x", {"stall": {"timeoutSeconds": 9}}),
        "greater than or equal to 10",
        "spec.stall.timeoutSeconds",
    ),
    Case(
        "a stall that restarts the node",
        template("x", {"stall": {"timeoutSeconds": 60, "action": "Reboot"}}),
        'supported values: "Nothing", "Retry", "Fail"',
        "spec.stall.action",
    ),
    Case(
        "a requester for nobody",
        task("x", {"requester": {"principal": "bob", "actorId": ""}}),
        "at least 1 chars long",
        "spec.requester.actorId",
    ),
    Case(
        "a milestone at the end",
        template("x", {"delivery": {"milestones": [100]}}),
        "less than or equal to 99",
        "spec.delivery.milestones[0]",
    ),
    Case(
        "a milestone at the beginning",
        template("x", {"delivery": {"milestones": [50, 0]}}),
        "greater than or equal to 1",
        "spec.delivery.milestones[1]",
    ),
    Case(
        "six milestones",
        template("x", {"delivery": {"milestones": [10, 20, 30, 40, 50, 60]}}),
        "must have at most 5 items",
        "spec.delivery.milestones",
    ),
    Case(
        "a milestone twice",
        template("x", {"delivery": {"milestones": [50, 50]}}),
        "Duplicate value",
        "spec.delivery.milestones[1]",
    ),
    Case("a list for a schema", template("x", {"resultSchema": []}), "must be of type object", "spec.resultSchema"),
]


@pytest.mark.parametrize("verb", CREATES)
@pytest.mark.parametrize("case", REFUSED_NAMES, ids=lambda case: case.what)
def test_name_refused(kube: Kube, verb: str, case: Case) -> None:
    answer = CREATES[verb](kube, _plural(case.body), case.body)

    assert answer.code == 422, answer.body
    assert answer.refusals == {case.says: case.field}
    assert kube.get(kube.path(_plural(case.body), case.body["metadata"]["name"])).code == 404


@pytest.mark.parametrize("verb", CREATES)
@pytest.mark.parametrize("name", ["a", "model-training-7x2k9", "a" * 40])
@pytest.mark.parametrize("make", [task, template])
def test_name_allowed(kube: Kube, verb: str, name: str, make: Callable[[str], dict[str, Any]]) -> None:
    path = kube.path(_plural(make(name)), name)

    CREATES[verb](kube, _plural(make(name)), make(name)).done()

    kube.request("DELETE", path).done()


def test_a_task_may_have_a_name_of_52(kube: Kube) -> None:
    kube.create(kube.path(constants.TASK_PLURAL), task("a" * 52)).done()


def test_a_name_can_be_generated(kube: Kube) -> None:
    created = kube.create(kube.path(constants.TASK_PLURAL), task("", generateName="model-training-")).done()

    assert created["metadata"]["name"].startswith("model-training-")


def test_a_put_creates_nothing(kube: Kube) -> None:
    path = kube.path(constants.TASK_PLURAL, "nobody")

    assert kube.request("PUT", path, task("nobody")).code == 404


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.what)
def test_refused(kube: Kube, case: Case) -> None:
    """The API server's own checks name the field."""
    answer = kube.create(kube.path(_plural(case.body)), case.body)

    assert answer.code == 422, answer.body
    assert [field for what, field in answer.refusals.items() if case.says in what] == [case.field], answer.body


def test_two_containers_of_one_name_are_refused(kube: Kube) -> None:
    twice = [{"name": "main", "image": "a:1"}, {"name": "main", "image": "b:1"}]

    answer = kube.create(
        kube.path(constants.TEMPLATE_PLURAL), template("twice", {"podTemplate": {"spec": {"containers": twice}}})
    )

    assert answer.refusals == {'Duplicate value: {"name":"main"}': "spec.podTemplate.spec.containers[1]"}


def test_defaults_of_a_task(a_task: MakeTask) -> None:
    assert a_task().read()["spec"] == {
        "templateRef": {"name": "training"},
        "parameters": {},
        "suspend": False,
        "cancelRequested": False,
    }


def test_defaults_of_a_template(a_template: MakeTask) -> None:
    stored = a_template({"podTemplate": {"metadata": {}, "spec": {"containers": [{"name": "main", "image": "a:1"}]}}})

    assert stored.read()["spec"] == {
        "description": "Trains a model.",
        "parametersSchema": {"type": "object", "properties": {}},
        "podTemplate": {
            "metadata": {"labels": {}, "annotations": {}},
            "spec": {"containers": [{"name": "main", "image": "a:1"}]},
        },
        "startTimeoutSeconds": 600,
        "activeDeadlineSeconds": 86400,
        "retry": {"limit": 0, "maxDisruptions": 10},
        "tool": {"answer": "Auto", "protocolCancel": "Auto"},
        "ttlSecondsAfterFinished": 2592000,
    }


def test_a_half_given_retry_is_completed(a_template: MakeTask) -> None:
    assert a_template({"retry": {"limit": 3}}).read()["spec"]["retry"] == {"limit": 3, "maxDisruptions": 10}


def test_a_half_given_tool_is_completed(a_template: MakeTask) -> None:
    completed = {"answer": "Task", "protocolCancel": "Auto"}

    assert a_template({"tool": {"answer": "Task"}}).read()["spec"]["tool"] == completed


@pytest.mark.parametrize("tool", [{"answer": "Never"}, {"protocolCancel": "cancel"}, {"answer": 1}, "Auto"])
def test_an_unknown_tool_policy_is_refused(a_template: MakeTask, tool: Any) -> None:
    with pytest.raises(AssertionError, match=r"spec\.tool"):
        a_template({"tool": tool})


def test_a_half_given_stall_is_completed(a_template: MakeTask) -> None:
    completed = {"timeoutSeconds": 60, "action": "Nothing", "expectReports": True}

    assert a_template({"stall": {"timeoutSeconds": 60}}).read()["spec"]["stall"] == completed


def test_a_half_given_delivery_is_completed(a_template: MakeTask) -> None:
    completed = {"milestones": [25, 50, 75, 90, 99], "longTermRecord": False}

    assert a_template({"delivery": {"milestones": completed["milestones"]}}).read()["spec"]["delivery"] == completed
    assert a_template({"delivery": {}}).read()["spec"]["delivery"] == {"longTermRecord": False}


def test_a_null_is_a_field_that_was_not_given(kube: Kube) -> None:
    nothing = dict.fromkeys(["parameters", "suspend", "cancelRequested", "idempotencyKey", "requester", "memory"])

    created = kube.create(kube.path(constants.TASK_PLURAL), task("nulls", nothing)).done()

    assert created["spec"] == {
        "templateRef": {"name": "training"},
        "parameters": {},
        "suspend": False,
        "cancelRequested": False,
    }


def test_the_pod_keeps_what_the_models_do_not_name(a_template: MakeTask) -> None:
    pod = {
        "nodeSelector": {"gpu": "yes"},
        "containers": [{"name": "main", "image": "a:1", "env": [{"name": "A", "value": "1"}], "tty": False}],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }

    assert a_template({"podTemplate": {"spec": pod}}).read()["spec"]["podTemplate"]["spec"] == pod


def _plural(body: dict[str, Any]) -> str:
    return constants.TASK_PLURAL if body["kind"] == constants.TASK_KIND else constants.TEMPLATE_PLURAL
