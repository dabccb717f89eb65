"""The MCP Tasks extension over HTTP, on one replica and on two, beside the plain tools."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.mcp.line import Line
from tests.mcp.replica import Agent, Replica, running
from tests.mcp.tasks_client import CLAUDE_CODE, ELICITING, TASKS, Refused, TasksClient, tasks_client
from tests.mcp.world import World, eventually

ACKNOWLEDGED = {"resultType": "complete"}
QUESTION = {"id": "deploy", "message": "Deploy?", "createdTime": "2026-11-22T10:00:00Z"}


@pytest.fixture
async def claude(replica: Replica, alice: str) -> AsyncIterator[TasksClient]:
    async with tasks_client(replica.url, alice) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
async def templates(world: World) -> None:
    await world.template("only-task", tool={"answer": "Task", "protocolCancel": "Cancel"})
    await world.template("only-handle", tool={"answer": "Handle", "protocolCancel": "Detach"})


def bare(result: dict[str, Any]) -> dict[str, Any]:
    """Without what the SDK adds to each result."""
    return {key: value for key, value in result.items() if key != "_meta"}


async def ended(world: World, uid: str, **status: Any) -> None:
    times = {"startTime": "2026-11-22T10:00:00Z", "completionTime": "2026-11-22T10:01:00Z", "attemptCount": 1}
    await world.set_status(uid, **times, **status)


async def becomes(client: TasksClient, task_id: str, status: str) -> dict[str, Any]:
    async def looked() -> dict[str, Any] | None:
        told = await client.get(task_id)
        return told if told["status"] == status else None

    told = await eventually(looked, f"{task_id} is {status}")
    assert told is not None
    return told


async def asks(world: World, client: TasksClient, *questions: dict[str, Any]) -> str:
    task_id = str((await client.call("model_training", model_name="m", idempotency_key=uuid.uuid4().hex))["taskId"])
    await world.set_status(task_id, phase="WaitingForInput", attemptCount=1, inputRequests=list(questions))
    return task_id


async def test_the_extension_is_advertised_without_settings(claude: TasksClient) -> None:
    capabilities = (await claude.request("server/discover", {}))["capabilities"]
    assert capabilities["extensions"] == {"io.modelcontextprotocol/tasks": {}}
    assert "tasks" not in capabilities


async def test_a_start_is_a_task_that_every_replica_knows_at_once(
    claude: TasksClient, other_replica: Replica, alice: str, new_key: Callable[[], str], world: World
) -> None:
    key = new_key()
    created = await claude.call("model_training", model_name="m", idempotency_key=key)
    async with tasks_client(other_replica.url, alice) as other:
        seen = await other.get(created["taskId"])
    [task] = await world.tasks(key)
    assert created["resultType"] == "task"
    assert created["status"] == "working"
    assert created["taskId"] == seen["taskId"] == task.metadata.uid
    assert created["createdAt"] == seen["createdAt"]
    assert created["ttlMs"] is None
    assert "ttlMs" in seen
    assert seen["resultType"] == "complete"


async def test_an_equal_start_is_the_same_task(claude: TasksClient, new_key: Callable[[], str], world: World) -> None:
    key = new_key()
    starts = await asyncio.gather(
        *(claude.call("model_training", model_name="m", idempotency_key=key) for _ in range(5))
    )
    by_name = await claude.call(
        "start_task", template="model-training", parameters={"model_name": "m"}, idempotency_key=key
    )
    assert len({each["taskId"] for each in (*starts, by_name)}) == 1
    assert len(await world.tasks(key)) == 1


async def test_a_repeated_start_says_so(claude: TasksClient, new_key: Callable[[], str]) -> None:
    key = new_key()
    first, second = [await claude.call("model_training", model_name="m", idempotency_key=key) for _ in range(2)]
    assert "no second one was started" not in first["statusMessage"]
    assert "no second one was started" in second["statusMessage"]


async def test_a_wait_in_the_arguments_does_not_delay_the_task(claude: TasksClient, new_key: Callable[[], str]) -> None:
    created = await claude.call("model_training", model_name="m", idempotency_key=new_key(), wait_seconds=50)
    assert created["resultType"] == "task"


async def test_a_refused_start_is_a_result_that_is_an_error(claude: TasksClient) -> None:
    result = await claude.call("model_training", epochs=0)
    assert result["resultType"] == "complete"
    assert result["isError"]
    assert result["structuredContent"]["error_code"] == "invalid_parameters"


@pytest.mark.parametrize("tool", ["list_tasks", "list_templates", "no_such_tool"])
async def test_other_tools_answer_as_always(claude: TasksClient, tool: str) -> None:
    assert (await claude.call(tool))["resultType"] == "complete"


@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {}}, {"extensions": {"com.example/other": {}}}])
async def test_who_declares_nothing_gets_the_handle_and_no_methods(
    claude: TasksClient, capabilities: dict[str, Any], new_key: Callable[[], str]
) -> None:
    arguments = {"model_name": "m", "idempotency_key": new_key()}
    call = {"name": "model_training", "arguments": arguments}
    result = await claude.request("tools/call", call, capabilities=capabilities)
    assert result["resultType"] == "complete"
    task_id = result["structuredContent"]["task_id"]
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        params = {"taskId": task_id, "inputResponses": {}}
        with pytest.raises(Refused) as refused:
            await claude.request(method, params, capabilities=capabilities)
        assert refused.value.code == -32021
        assert refused.value.data == {"requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}
    # A task that was started by one face is met by the other.
    assert (await claude.call("model_training", **arguments))["taskId"] == task_id
    assert (await claude.get(task_id))["taskId"] == task_id


async def test_a_template_that_only_answers_with_tasks(
    claude: TasksClient, as_alice: Callable[..., AbstractAsyncContextManager[Agent]], world: World
) -> None:
    before = len(await world.tasks())
    for tool, arguments in (("only_task", {}), ("start_task", {"template": "only-task"})):
        with pytest.raises(Refused) as refused:
            await claude.request("tools/call", {"name": tool, "arguments": arguments}, capabilities={})
        assert refused.value.code == -32021
    async with as_alice("legacy") as agent:
        reply = await agent.call("only_task")
    assert reply.error
    assert reply.envelope["error_code"] == "task_client_needed"
    assert len(await world.tasks()) == before
    assert (await claude.call("only_task"))["resultType"] == "task"


async def test_a_template_that_only_answers_with_handles(claude: TasksClient) -> None:
    result = await claude.call("only_handle")
    assert result["resultType"] == "complete"
    assert (await claude.get(result["structuredContent"]["task_id"]))["status"] == "working"


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel", "tasks/list", "tasks/result"])
async def test_the_older_protocol_has_no_such_methods(claude: TasksClient, method: str) -> None:
    """The header names the era; a request of the older one has no envelope."""
    response = await claude.http.post(
        claude.url,
        headers={
            "Authorization": f"Bearer {claude.token}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-11-25",
        },
        json={"jsonrpc": "2.0", "id": 1, "method": method, "params": {"taskId": "x", "inputResponses": {}}},
    )
    assert "-32601" in response.text


@pytest.mark.parametrize("method", ["tasks/list", "tasks/result"])
async def test_methods_of_an_earlier_draft_do_not_exist(claude: TasksClient, method: str) -> None:
    with pytest.raises(Refused) as refused:
        await claude.request(method, {"taskId": "x"})
    assert refused.value.code == -32601


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_the_declaration_is_checked_before_anything_else(claude: TasksClient, method: str) -> None:
    with pytest.raises(Refused) as refused:
        await claude.request(method, {}, capabilities={})
    assert refused.value.code == -32021


@pytest.mark.parametrize("responses", [None, [], "yes", 7], ids=str)
async def test_responses_are_an_object(claude: TasksClient, responses: Any) -> None:
    params = {"taskId": "8f3c0000-0000-4000-8000-000000000001", "inputResponses": responses}
    with pytest.raises(Refused, match="inputResponses") as refused:
        await claude.request("tasks/update", params)
    assert refused.value.code == -32602


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
@pytest.mark.parametrize(
    ("task_id", "name", "code", "status"),
    [
        ("8f3c0000-0000-4000-8000-000000000001", None, -32602, 400),
        ("model-training-1", None, -32602, 400),
        ("", None, -32020, 400),
        ("x" * 10_000, "x", -32020, 400),
        ("8f3c0000-0000-4000-8000-000000000001", "8f3c0000-0000-4000-8000-000000000002", -32020, 400),
        ("8f3c0000-0000-4000-8000-000000000001", "=?base64?OGYzYw==?=", -32020, 400),
        (None, "x", -32602, 400),
        (7, "7", -32602, 400),
        ({}, "x", -32602, 400),
    ],
)
async def test_bad_ids(
    claude: TasksClient, method: str, task_id: Any, name: str | None, code: int, status: int
) -> None:
    with pytest.raises(Refused) as refused:
        await claude.request(method, {"taskId": task_id, "inputResponses": {}}, name=name)
    assert (refused.value.code, refused.value.status) == (code, status)


async def test_a_task_of_somebody_else_does_not_exist(
    claude: TasksClient, replica: Replica, bob: str, new_key: Callable[[], str], world: World
) -> None:
    task_id = (await claude.call("model_training", model_name="m", idempotency_key=new_key()))["taskId"]
    async with tasks_client(replica.url, bob) as other:
        for attempt in (other.get(task_id), other.update(task_id), other.cancel(task_id)):
            with pytest.raises(Refused) as refused:
                await attempt
            assert refused.value.code == -32602
    assert not (await world.task(task_id)).spec.cancel_requested


async def test_completed_work_has_its_result(
    claude: TasksClient,
    new_key: Callable[[], str],
    world: World,
    as_alice: Callable[..., AbstractAsyncContextManager[Agent]],
) -> None:
    task_id = (await claude.call("model_training", model_name="m", idempotency_key=new_key()))["taskId"]
    await ended(world, task_id, phase="Succeeded", result={"attempt": 1, "value": {"accuracy": 0.97}})
    told = await becomes(claude, task_id, "completed")
    async with as_alice() as agent:
        plain = await agent.call("get_task_results", task_id=task_id)
    assert told["result"] == {
        "resultType": "complete",
        "content": [{"type": "text", "text": plain.text}],
        "structuredContent": plain.envelope,
        "isError": False,
    }
    assert plain.envelope["result"] == {"accuracy": 0.97}


async def test_a_result_that_is_not_cached_is_whole(
    claude: TasksClient, new_key: Callable[[], str], world: World
) -> None:
    task_id = (await claude.call("model_training", model_name="m", idempotency_key=new_key()))["taskId"]
    await ended(world, task_id, phase="Succeeded", result={"attempt": 1, "value": "y" * 5000})
    told = await becomes(claude, task_id, "completed")
    assert told["result"]["structuredContent"]["result"] == "y" * 5000


async def test_failed_work_is_completed_with_an_error_for_the_agent(
    claude: TasksClient, new_key: Callable[[], str], world: World
) -> None:
    task_id = (await claude.call("model_training", model_name="m", idempotency_key=new_key()))["taskId"]
    failure = {"reason": "OOMKilled", "message": "out of memory", "hint": "Use less.", "logTail": "epoch 3\n"}
    await ended(world, task_id, phase="Failed", failure=failure)
    told = await becomes(claude, task_id, "completed")
    assert told["result"]["isError"]
    text = told["result"]["content"][0]["text"]
    assert "OOMKilled: out of memory" in text
    assert "Hint: Use less." in text
    assert "epoch 3" in text


async def test_an_answered_question_is_gone_and_the_others_stay(claude: TasksClient, world: World) -> None:
    task_id = await asks(world, claude, QUESTION, QUESTION | {"id": "region"})
    told = await becomes(claude, task_id, "input_required")
    assert list(told["inputRequests"]) == ["deploy", "region"]
    response = {"action": "accept", "content": {"answer": "yes"}}
    assert bare(await claude.update(task_id, deploy=response, unknown=response)) == ACKNOWLEDGED
    assert list((await claude.get(task_id))["inputRequests"]) == ["region"]
    assert bare(await claude.update(task_id, deploy=response)) == ACKNOWLEDGED
    await claude.update(task_id, deploy={"action": "accept", "content": {"answer": "no"}}, region=response)
    told = await claude.get(task_id)
    assert told["status"] == "working"
    task = await world.task(task_id)
    assert {each.request_id: each.value for each in task.spec.input_responses} == {"deploy": '"yes"', "region": '"yes"'}


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_question_that_is_declined_stays_open(claude: TasksClient, world: World, action: str) -> None:
    """Clients without a form send this by themselves."""
    task_id = await asks(world, claude, QUESTION)
    await becomes(claude, task_id, "input_required")
    assert bare(await claude.update(task_id, deploy={"action": action})) == ACKNOWLEDGED
    assert (await claude.get(task_id))["status"] == "input_required"


async def test_an_answer_that_does_not_fit_is_an_error_and_the_others_count(claude: TasksClient, world: World) -> None:
    task_id = await asks(world, claude, QUESTION | {"answerSchema": '{"type": "boolean"}'}, QUESTION | {"id": "region"})
    await becomes(claude, task_id, "input_required")
    with pytest.raises(Refused, match="does not fit question deploy") as refused:
        await claude.update(
            task_id,
            deploy={"action": "accept", "content": {"answer": "perhaps"}},
            region={"action": "accept", "content": {"answer": "eu"}},
        )
    assert refused.value.code == -32602
    assert list((await claude.get(task_id))["inputRequests"]) == ["deploy"]


async def test_a_question_that_this_replica_has_not_heard_of_is_answered(claude: TasksClient, world: World) -> None:
    task_id = await asks(world, claude, QUESTION)
    # At once: the watch may not have delivered the question.
    await claude.update(task_id, deploy={"action": "accept", "content": {"answer": "yes"}})
    assert (await world.task(task_id)).answer_to("deploy") == '"yes"'


@pytest.mark.parametrize("capabilities", [TASKS, {**TASKS, "elicitation": {"url": {}}}])
async def test_a_client_without_forms_is_not_asked(
    claude: TasksClient, replica: Replica, alice: str, world: World, capabilities: dict[str, Any]
) -> None:
    task_id = await asks(world, claude, QUESTION)
    await becomes(claude, task_id, "input_required")
    async with tasks_client(replica.url, alice, capabilities) as other:
        told = await other.get(task_id)
    assert told["status"] == "working"
    assert "waiting for input: Deploy?" in told["statusMessage"]
    assert "inputRequests" not in told


@pytest.mark.parametrize(
    ("tool", "capabilities", "cancelled"),
    [
        ("model_training", CLAUDE_CODE, True),
        ("model_training", ELICITING, True),
        ("model_training", TASKS, False),
        ("only_task", TASKS, True),
        ("only_handle", CLAUDE_CODE, False),
    ],
)
async def test_who_cancels_and_who_only_leaves(
    replica: Replica,
    alice: str,
    world: World,
    new_key: Callable[[], str],
    tool: str,
    capabilities: dict[str, Any],
    cancelled: bool,
) -> None:
    async with tasks_client(replica.url, alice, capabilities) as client:
        parameters = {"model_name": "m"} if tool == "model_training" else {}
        created = await client.call(tool, **parameters, idempotency_key=new_key())
        task_id = created.get("taskId") or created["structuredContent"]["task_id"]
        assert bare(await client.cancel(task_id)) == ACKNOWLEDGED
    assert (await world.task(task_id)).spec.cancel_requested is cancelled


async def test_a_task_whose_template_is_gone_is_not_cancelled_by_a_client(
    claude: TasksClient, world: World, new_key: Callable[[], str]
) -> None:
    """Nobody knows any more whether the template would let it."""
    await world.template("short-lived", tool={"protocolCancel": "Detach"})

    async def started() -> str | None:
        result = await claude.call("short_lived", idempotency_key=new_key())
        return result.get("taskId")

    task_id = await eventually(started, "the template is known")
    await world.delete(f"{world.templates_path}/short-lived")

    async def gone() -> bool:
        return "short_lived" not in str((await claude.call("list_templates"))["structuredContent"])

    await eventually(gone, "the template is gone")
    await claude.cancel(str(task_id))
    assert not (await world.task(str(task_id))).spec.cancel_requested


async def test_polls_are_not_logged_and_failures_are(claude: TasksClient, replica: Replica) -> None:
    task_id = (await claude.call("only_task"))["taskId"]
    polls = await replica.metric('longtask_mcp_tool_calls_total{outcome="ok",tool="tasks/get"}')
    await claude.get(task_id)
    assert await replica.metric('longtask_mcp_tool_calls_total{outcome="ok",tool="tasks/get"}') == polls + 1
    unknown = str(uuid.uuid4())
    with pytest.raises(Refused):
        await claude.get(unknown)
    logged = [line for line in replica.log().splitlines() if '"tasks/get"' in line]
    assert not any(task_id in line for line in logged)
    assert any(unknown in line for line in logged)


async def test_to_cancel_what_has_ended_is_acknowledged(
    claude: TasksClient, new_key: Callable[[], str], world: World
) -> None:
    task_id = (await claude.call("model_training", model_name="m", idempotency_key=new_key()))["taskId"]
    assert bare(await claude.cancel(task_id)) == ACKNOWLEDGED
    await ended(world, task_id, phase="Cancelled", failure={"reason": "Cancelled", "message": "cancelled"})
    told = await becomes(claude, task_id, "cancelled")
    assert "result" not in told
    assert bare(await claude.cancel(task_id)) == ACKNOWLEDGED


async def test_an_older_form_of_the_call_has_no_effect(claude: TasksClient) -> None:
    call = {"name": "list_tasks", "arguments": {}, "task": {"ttl": 60000, "pollInterval": 100}}
    assert (await claude.request("tools/call", call))["resultType"] == "complete"


async def test_the_result_of_an_ended_task_is_awaited_while_the_api_server_is_away(
    world: World, kubeconfig: Path, line: Line, alice: str, new_key: Callable[[], str], tmp_path: Path
) -> None:
    """An error would make clients give up, and cancel."""
    through = line.kubeconfig(kubeconfig, tmp_path)
    async with running(through, world.namespace, tmp_path) as replica, tasks_client(replica.url, alice) as client:
        task_id = (await client.call("model_training", model_name="m", idempotency_key=new_key()))["taskId"]
        await ended(world, task_id, phase="Succeeded", result={"attempt": 1, "value": "y" * 5000})
        await becomes(client, task_id, "completed")
        line.cut()
        told = await client.get(task_id)
        assert told["status"] == "working"
        assert "does not answer now" in told["statusMessage"]
        line.mend()
        await becomes(client, task_id, "completed")
