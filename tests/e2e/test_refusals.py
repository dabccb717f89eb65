"""Bad input: each is a clear error that names what is wrong, and nothing is created."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from longtask_api import constants
from tests.e2e.conftest import Session
from tests.e2e.following import FOR_LONG, in_phase
from tests.e2e.installation import AGENTS, TASKS, Installation
from tests.e2e.programs import kubectl
from tests.operator.tasks import template_spec

LARGE = "x" * 300 * 1024
ALICE = f"system:serviceaccount:{AGENTS}:alice"

BAD_CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a parameter of the wrong type": ("e2e_number", {"number": "many"}, 'number: "many" is not of type "integer"'),
    "a parameter that is missing": ("e2e_number", {}, "number: is required"),
    "an unknown argument": ("e2e_number", {"number": 1, "numbr": 2}, "numbr: no such parameter"),
    "an unknown argument of a fixed tool": ("list_tasks", {"colour": "red"}, "colour: no such argument; allowed are"),
    "an unknown template": (
        "start_task",
        {"template": "e2e-pyton"},
        "template: there is no template 'e2e-pyton'. Available: ",
    ),
    "an unknown tool": ("e2e_pyton", {"code": "pass"}, "There is no tool 'e2e_pyton' (any more). list_templates"),
    "300 KiB of parameters": ("e2e_python", {"code": LARGE}, f"{constants.MAX_PARAMETERS_BYTES} are allowed"),
    "a template with ../": ("start_task", {"template": "../e2e-python"}, "template: there is no template '../e2e-py"),
    "a task id with ../": ("get_task_logs", {"task_id": "../../pods/x"}, "task not found: ../../pods/x. Ids are"),
}


@pytest.fixture
async def nothing_created(installation: Installation) -> AsyncIterator[None]:
    async def uids() -> set[str]:
        tasks = await installation.world.tasks()
        return {each.metadata.uid for each in tasks if each.spec.requester and each.spec.requester.principal == ALICE}

    before = await uids()
    yield
    assert await uids() == before


@pytest.mark.usefixtures("nothing_created")
@pytest.mark.parametrize("name", BAD_CALLS)
async def test_a_call_is_refused_with(as_alice: Session, name: str) -> None:
    tool, arguments, told = BAD_CALLS[name]
    async with as_alice() as agent:
        reply = await agent.call(tool, **arguments)
    assert reply.error
    assert told in reply.text
    assert len(reply.text) < 2000


async def test_the_refusal_of_an_unknown_template_lists_those_that_there_are(as_alice: Session) -> None:
    async with as_alice() as agent:
        reply = await agent.call("start_task", template="nothing")
        known = await agent.call("list_templates")
    assert {each["template"] for each in known.envelope["templates"]} >= {"e2e-number", "e2e-python"}
    for each in known.envelope["templates"]:
        assert each["template"] in reply.text


BAD_OBJECTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "template without image": (
        constants.TEMPLATE_KIND,
        template_spec({"containers": [{"name": "main"}]}),
        "spec.podTemplate.spec.containers[0].image: Required value",
    ),
    "task without template": (constants.TASK_KIND, {}, "spec.templateRef: Required value"),
    "task with an unknown field": (
        constants.TASK_KIND,
        {"templateRef": {"name": "e2e-number"}, "parametres": {}},
        'unknown field "spec.parametres"',
    ),
}


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize("name", BAD_OBJECTS)
async def test_kubectl_refuses_a(name: str) -> None:
    kind, spec, told = BAD_OBJECTS[name]
    document = {"apiVersion": constants.API_VERSION, "kind": kind, "metadata": {"name": "e2e-bad"}, "spec": spec}
    ran = await kubectl("apply", "-n", TASKS, "-f", "-", stdin=json.dumps(document))
    assert ran.code != 0
    assert told in ran.text
    assert (await kubectl("get", "-n", TASKS, kind, "e2e-bad")).code != 0


@pytest.mark.usefixtures("installation")
async def test_kubectl_refuses_a_task_whose_name_leaves_its_place() -> None:
    metadata = {"name": "../e2e-bad"}
    spec = {"templateRef": {"name": "e2e-number"}}
    document = {"apiVersion": constants.API_VERSION, "kind": constants.TASK_KIND, "metadata": metadata, "spec": spec}
    ran = await kubectl("create", "-n", TASKS, "-f", "-", stdin=json.dumps(document))
    assert ran.code != 0
    assert 'metadata.name: Invalid value: "../e2e-bad"' in ran.text


async def test_a_pod_made_by_hand_cannot_speak_for_a_task(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as agent:
        task = await agent.call("e2e_python", code=FOR_LONG, idempotency_key=new_key())
        await in_phase(agent, task.task_id, "Running")
        [job], [pod] = await installation.jobs(task_uid=task.task_id), await installation.pods(task_uid=task.task_id)
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": job["metadata"]["name"],
            "uid": job["metadata"]["uid"],
        }
        forged = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "e2e-forged", "ownerReferences": [owner | {"controller": True}]},
            "spec": {key: value for key, value in pod["spec"].items() if key != "nodeName"},
        }
        ran = await kubectl("create", "-n", TASKS, "-f", "-", stdin=json.dumps(forged))
        await agent.call("cancel_task", task_id=task.task_id)
    assert ran.code != 0
    assert "may not make a pod that belongs to a Job: only the Job controller may" in ran.text
