"""One service that speaks for many: two actors of it never see or meet each other's tasks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from longtask_api.longtask import Memory, Requester
from longtask_api.mcp_names import LABEL_REQUESTER, requester_label
from tests.mcp.replica import ERAS, Agent, Replica, agent, running
from tests.mcp.test_identity import post
from tests.mcp.world import World, eventually

MEMORY = "team-0123456789"
DEFAULT = "ops-0123456789"
TRAINING = {"model_name": "digits"}
QUESTION = {"id": "go-on", "message": "Go on?", "createdTime": "2026-11-22T10:00:00Z"}
eras = pytest.mark.parametrize("era", ERAS)
As = Callable[..., AbstractAsyncContextManager[Agent]]


def speaking_for(actor: str, session: str | None = None, memory: str | None = None) -> dict[str, str]:
    told = {"X-LongTask-Actor-Id": actor, "X-LongTask-Session-Id": session, "X-LongTask-Memory-Id": memory}
    return {name: value for name, value in told.items() if value is not None}


@pytest.fixture(scope="module")
def service(world: World) -> str:
    """The principal that may speak for others."""
    return f"system:serviceaccount:{world.namespace}:alice"


@pytest.fixture(scope="module")
async def trusting(world: World, kubeconfig: Path, service: str) -> AsyncIterator[Replica]:
    settings = {"trusted_principals": json.dumps([service]), "memory_ids": json.dumps([MEMORY, DEFAULT])}
    async with running(kubeconfig, world.namespace, kubeconfig.parent, **settings) as process:
        yield process


@pytest.fixture
def speak(trusting: Replica, alice: str) -> As:
    """Opens a session of the service: `async with speak("user-1") as agent`."""
    return lambda *ids, era="auto": agent(trusting.url, alice, era, speaking_for(*ids) if ids else None)


@eras
@pytest.mark.parametrize("composite", [False, True], ids=["headers", "composite"])
async def test_a_start_carries_whom_the_service_spoke_for(
    world: World, trusting: Replica, service: str, alice: str, new_key: Callable[[], str], era: str, composite: bool
) -> None:
    headers = speaking_for("user-1", "conv-1", MEMORY)
    if composite:
        headers = {"Mcp-Session-Id": f"conv-1@@@{MEMORY}@@@user-1"}
    async with agent(trusting.url, alice, era, headers) as session:
        reply = await session.call("model_training", **TRAINING, idempotency_key=new_key())
    assert reply.text.endswith(
        " The result will also be written to this conversation's memory: the next agent opened on this session knows "
        "it; this one asks with check_task_status."
    )
    assert reply.envelope["memory"] == {
        "memory_id": MEMORY,
        "actor_id": "user-1",
        "session_id": "conv-1",
        "state": "at_end",
    }
    task = await world.task(reply.task_id)
    assert task.spec.requester == Requester(principal=service, actor_id="user-1", session_id="conv-1")
    assert task.spec.memory == Memory(memory_id=MEMORY, actor_id="user-1", session_id="conv-1")
    assert task.metadata.labels[LABEL_REQUESTER] == requester_label(service, "user-1")


async def test_without_headers_the_service_is_itself_and_nothing_is_told(
    world: World, speak: As, service: str, new_key: Callable[[], str]
) -> None:
    async with speak() as session:
        reply = await session.call("model_training", **TRAINING, idempotency_key=new_key())
    assert "memory" not in reply.text
    assert "memory" not in reply.envelope
    task = await world.task(reply.task_id)
    assert task.spec.requester == Requester(principal=service)
    assert task.spec.memory is None


async def test_callers_that_name_no_memory_have_the_default_one(
    world: World, kubeconfig: Path, bob: str, new_key: Callable[[], str]
) -> None:
    settings = {"memory_ids": json.dumps([MEMORY, DEFAULT]), "default_memory_id": DEFAULT}
    async with (
        running(kubeconfig, world.namespace, kubeconfig.parent, **settings) as replica,
        agent(replica.url, bob) as session,
    ):
        reply = await session.call("model_training", **TRAINING, idempotency_key=new_key())
    account = f"system:serviceaccount:{world.namespace}:bob"
    task = await world.task(reply.task_id)
    assert task.spec.requester == Requester(principal=account)
    assert task.spec.memory == Memory(memory_id=DEFAULT, actor_id=account, session_id="longtask")
    assert f"will also be written to memory: session longtask of actor {account}." in reply.text


async def visible(session: Agent) -> set[str]:
    """The ids in the list and in the brief."""
    listed, brief = await session.call("list_tasks", limit=100), await session.call("resume_brief", all_sessions=True)
    groups = [listed.envelope["tasks"], *(brief.envelope[each] for each in ("running", "questions", "ended"))]
    return {each["task_id"] for group in groups for each in group}


@eras
@pytest.mark.parametrize(
    ("mine", "his"),
    [(("eve",), ("mallory",)), (("eve",), ()), ((), ("eve-2",)), (("eve", "conv-1"), ("adam", "conv-1"))],
)
async def test_an_actor_has_no_way_to_the_tasks_of_another(
    world: World,
    speak: As,
    new_key: Callable[[], str],
    mine: tuple[str, ...],
    his: tuple[str, ...],
    era: str,
) -> None:
    async with speak(*mine, era=era) as me, speak(*his, era=era) as other:
        running, ended = [
            (await me.call("model_training", **TRAINING, idempotency_key=new_key())).task_id for _ in range(2)
        ]
        await world.set_status(running, phase="WaitingForInput", inputRequests=[QUESTION])
        await world.set_status(ended, phase="Succeeded", result={"value": {"score": 1}})
        await eventually(lambda: _asks(me, running), "the question")
        assert {running, ended} <= await visible(me)
        assert not {running, ended} & await visible(other)
        for task_id in (running, ended):
            refused = await asyncio.gather(
                other.call("check_task_status", task_id=task_id),
                other.call("get_task_results", task_id=task_id),
                other.call("wait_for_task", task_id=task_id, timeout_seconds=0),
                other.call("get_task_logs", task_id=task_id),
                other.call("cancel_task", task_id=task_id),
                other.call("answer_task", task_id=task_id, question_id="go-on", answer=True),
            )
            assert {reply.text for reply in refused} == {
                f"task not found: {task_id}. Ids are never guessed: call list_tasks (it also shows finished ones)."
            }
            assert all(reply.error for reply in refused)
        name = (await world.task(running)).metadata.name
        assert name not in (await other.call("check_task_status", task_id=name)).text.partition(". ")[2]
        spec = (await world.task(running)).spec
        assert not spec.cancel_requested
        assert spec.input_responses == []


async def _asks(session: Agent, task_id: str) -> bool:
    return "questions" in (await session.call("check_task_status", task_id=task_id)).envelope


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("dan",), ("dora",)),
        (("dan",), ()),
        (("dan", "conv-1"), ("dan", "conv-2")),
        (("dan", "conv-1"), ("dan",)),
        (("dan", "conv-1", MEMORY), ("dora", "conv-1", MEMORY)),
    ],
)
@pytest.mark.parametrize("keyed", [True, False], ids=["key", "no key"])
async def test_a_start_meets_only_those_of_the_same_caller_and_session(
    speak: As, new_key: Callable[[], str], one: tuple[str, ...], other: tuple[str, ...], keyed: bool
) -> None:
    name = new_key()
    start = TRAINING | {"idempotency_key": name} if keyed else {"model_name": name}
    async with speak(*one) as first, speak(*one) as again, speak(*other) as second:
        task = await first.call("model_training", **start)
        theirs = await second.call("model_training", **start)
        met = await again.call("model_training", **start)
    assert not theirs.error
    assert theirs.task_id != task.task_id
    assert "was already started" not in theirs.text
    assert met.task_id == task.task_id
    assert "was already started" in met.text


async def test_another_actor_s_parameters_under_the_same_key_are_no_conflict(
    speak: As, new_key: Callable[[], str]
) -> None:
    key = new_key()
    async with speak("kim") as first, speak("lee") as second:
        await first.call("model_training", model_name="secret-project", idempotency_key=key)
        theirs = await second.call("model_training", model_name="other", idempotency_key=key)
    assert not theirs.error
    assert "secret-project" not in theirs.text


async def test_the_limit_of_running_tasks_is_that_of_one_actor(
    world: World, kubeconfig: Path, service: str, alice: str, new_key: Callable[[], str]
) -> None:
    settings = {"trusted_principals": json.dumps([service]), "max_active_tasks_per_caller": "1"}
    async with (
        running(kubeconfig, world.namespace, kubeconfig.parent, **settings) as replica,
        agent(replica.url, alice, headers=speaking_for("max-1")) as first,
        agent(replica.url, alice, headers=speaking_for("max-2")) as second,
    ):
        assert not (await first.call("model_training", **TRAINING, idempotency_key=new_key())).error
        assert (await first.call("model_training", **TRAINING, idempotency_key=new_key())).error
        assert not (await second.call("model_training", **TRAINING, idempotency_key=new_key())).error


async def test_the_log_says_for_whom_a_call_was(speak: As, trusting: Replica, new_key: Callable[[], str]) -> None:
    async with speak("logged", "conv-9") as session:
        await session.call("list_tasks")
    lines = [json.loads(line) for line in trusting.log().splitlines() if '"logged"' in line]
    assert {(line["actor"], line["session"]) for line in lines} == {("logged", "conv-9")}


@pytest.mark.parametrize(
    ("headers", "status", "reason", "told"),
    [
        (speaking_for("user@x"), 400, "BadHeaders", "X-LongTask-Actor-Id: 'user@x' does not fit ^"),
        ({"X-LongTask-Session-Id": "conv-1"}, 400, "BadHeaders", "X-LongTask-Actor-Id is missing"),
        ({"Mcp-Session-Id": "a@@@b"}, 400, "BadHeaders", "is not session@@@memory@@@actor"),
        (
            speaking_for("user-1", "conv-1", "stray-0123456789"),
            403,
            "Forbidden",
            "memory stray-0123456789 may not be written to from here; list it in memory.memoryIds",
        ),
    ],
)
async def test_headers_that_cannot_be_taken_are_refused_counted_and_logged(
    trusting: Replica, alice: str, headers: dict[str, str], status: int, reason: str, told: str
) -> None:
    counter = f'longtask_mcp_auth_refusals_total{{reason="{reason}"}}'
    before = await trusting.metric(counter)
    response = await post(trusting.url, alice, **headers)
    assert response.status_code == status
    assert told in response.json()["error"]["message"]
    assert await trusting.metric(counter) == before + 1
    refusals = [json.loads(line) for line in trusting.log().splitlines() if "request refused" in line]
    assert told in refusals[-1]["message"]


@pytest.mark.parametrize(
    "headers", [*({name: "x"} for name in speaking_for("a", "b", "c")), {"Mcp-Session-Id": "a@@@b@@@c"}]
)
async def test_an_account_that_is_not_trusted_may_not_speak_for_others(
    world: World, trusting: Replica, bob: str, headers: dict[str, str]
) -> None:
    response = await post(trusting.url, bob, **headers)
    assert response.status_code == 403
    assert response.json()["error"]["message"] == (
        f"system:serviceaccount:{world.namespace}:bob may not speak for others, so {next(iter(headers))} cannot be "
        "taken from it; list the account in mcp.trustedPrincipals of the chart's values, or leave the headers out"
    )


async def test_a_session_id_of_mcp_itself_means_nothing(trusting: Replica, bob: str) -> None:
    assert (await post(trusting.url, bob, **{"Mcp-Session-Id": "0f4b2c"})).status_code == 200


async def test_nobody_is_trusted_unless_listed(replica: Replica, alice: str) -> None:
    assert (await post(replica.url, alice, **speaking_for("user-1"))).status_code == 403


@pytest.mark.parametrize(("trusted", "status"), [("anonymous", 200), ("somebody", 403)])
async def test_the_anonymous_caller_is_trusted_like_any_other(
    world: World, kubeconfig: Path, trusted: str, status: int
) -> None:
    settings: dict[str, Any] = {"auth": "none", "trusted_principals": json.dumps([trusted])}
    async with running(kubeconfig, world.namespace, kubeconfig.parent, **settings) as replica:
        assert (await post(replica.url, None, **speaking_for("user-1"))).status_code == status
