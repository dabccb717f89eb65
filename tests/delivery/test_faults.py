"""One event in the session for every task, whatever goes wrong between the operator and the service, and one that the
real session manager restores."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agentcore import MEMORY, AgentCoreMemory
from tests.delivery.conversations import Conversation, texts
from tests.delivery.ended import ACTOR, SNAPSHOT, Ended, condition, end, told
from tests.faults.proxy import Door, Moment
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess

pytestmark = pytest.mark.cluster

ROUNDS = 3

FAULTS: dict[str, list[str]] = {
    "nothing goes wrong": [],
    "throttled": ["throttle", "throttle"],
    "an error": ["error"],
    "a conflict": ["conflict"],
    "cut off before": ["reset"],
    "cut off after": ["resetAfter"],
    "an error after": ["errorAfter"],
    "no answer in time, before": ["hang"],
    "no answer in time, after": ["hangAfter"],
    "one after another": ["error", "resetAfter", "throttle"],
}


async def restored(memory: AgentCoreMemory, task: Ended, folder: Path) -> list[str]:
    """The messages that a real agent restores of the task's session, where the task's are the only ones."""
    conversation = Conversation(".venv-strands", memory, task.session, folder)
    await asyncio.to_thread(conversation.open)  # makes the session one that was opened before
    return texts((await asyncio.to_thread(conversation.open))["restored"])


def are_its_pair(messages: list[str], task: Ended) -> bool:
    user, assistant = messages
    return (
        user.startswith("user: [Automatic notice of LongTask")
        and assistant.startswith("assistant: Noted: task ")
        and all(task.uid in each for each in messages)
    )


@pytest.mark.parametrize("faults", FAULTS)
async def test_one_event_whatever_the_service_answers(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], memory: AgentCoreMemory, tmp_path: Path, faults: str
) -> None:
    await asyncio.to_thread(replicas("only").start)
    tasks: list[Ended] = []
    for number in range(ROUNDS):
        session = f"{namespace.namespace}-{number}"
        for fault in FAULTS[faults]:
            memory.fault("CreateEvent", fault, match={"sessionId": session})
        tasks.append(await asyncio.to_thread(end, namespace, f"task-{number}", session))

    for task in tasks:
        status = await asyncio.to_thread(task.delivered)
        assert [event["eventId"] for event in status["delivery"]["events"]] == told(memory, task)
        assert len(told(memory, task)) == 1
        assert status["phase"] == "Succeeded"
        assert "payload" not in status["delivery"]["events"][0]
    assert are_its_pair(await restored(memory, tasks[-1], tmp_path), tasks[-1])


@pytest.mark.parametrize(("fault", "reason"), [("denied", "AccessDenied"), ("notFound", "MemoryNotFound")])
async def test_what_an_administrator_mends_is_tried_again(
    namespace: Kube,
    replicas: Callable[[str], OperatorProcess],
    memory: AgentCoreMemory,
    tmp_path: Path,
    fault: str,
    reason: str,
) -> None:
    operator = replicas("only")
    await asyncio.to_thread(operator.start)
    memory.fault("CreateEvent", fault, match={"sessionId": namespace.namespace})
    task = await asyncio.to_thread(end, namespace, "task", namespace.namespace)

    failed = await asyncio.to_thread(eventually, lambda: task.status, lambda s: condition(s)["reason"] == reason)
    status = await asyncio.to_thread(task.delivered)

    assert condition(failed)["status"] == "False"
    assert failed["delivery"]["nextRetryTime"] in condition(failed)["message"]
    assert [event["eventId"] for event in status["delivery"]["events"]] == told(memory, task)
    assert "failures" not in status["delivery"]
    assert failed["phase"] == status["phase"] == "Succeeded"
    assert len(told(memory, task)) == 1
    assert are_its_pair(await restored(memory, task, tmp_path), task)


async def test_what_the_service_will_never_take_is_not_tried_again_and_holds_up_nobody(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], memory: AgentCoreMemory, tmp_path: Path
) -> None:
    session = namespace.namespace
    memory.fault("CreateEvent", "invalid", match={"sessionId": session})
    refused = await asyncio.to_thread(end, namespace, "first", session, seconds_ago=90)
    after = await asyncio.to_thread(end, namespace, "second", session)

    await asyncio.to_thread(replicas("only").start)
    await asyncio.to_thread(after.delivered)
    status = await asyncio.to_thread(lambda: refused.status)

    assert (condition(status)["status"], condition(status)["reason"]) == ("False", "Refused")
    assert "nextRetryTime" not in status["delivery"]
    assert status["phase"] == "Succeeded"
    assert told(memory, refused) == []
    assert len(told(memory, after)) == 1
    assert are_its_pair(await restored(memory, after, tmp_path), after)


POINTS: dict[str, tuple[str, int, Moment]] = {
    "before anything is recorded": ("PATCH", 1, "instead"),
    "when it is recorded and nothing is called": ("PATCH", 1, "during"),
    "when it is written and that is not recorded": ("PATCH", 2, "instead"),
    "when all is recorded": ("PATCH", 2, "during"),
}


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("point", POINTS)
async def test_an_operator_is_killed_and_the_next_one_goes_on(
    namespace: Kube,
    replicas: Callable[[str], OperatorProcess],
    memory: AgentCoreMemory,
    door: Door,
    tmp_path: Path,
    point: str,
    number: int,
) -> None:
    method, nth, moment = POINTS[point]
    victim, heir = replicas("victim"), replicas("heir")
    task = await asyncio.to_thread(end, namespace, "task", namespace.namespace)

    async def kill() -> None:
        await asyncio.to_thread(victim.kill)

    async def next_time() -> None:
        door.trap(method, PATH, moment, kill)

    door.trap(method, PATH, moment if nth == 1 else "during", kill if nth == 1 else next_time)
    starting = asyncio.create_task(asyncio.to_thread(victim.start))
    await asyncio.to_thread(eventually, lambda: victim.process and victim.process.poll(), lambda code: code is not None)
    await asyncio.gather(starting, return_exceptions=True)
    await asyncio.to_thread(heir.start)
    status = await asyncio.to_thread(task.delivered)

    assert [event["eventId"] for event in status["delivery"]["events"]] == told(memory, task)
    assert len(told(memory, task)) == 1
    assert status["phase"] == "Succeeded"
    if number == 0:
        assert are_its_pair(await restored(memory, task, tmp_path), task)


PATH = r"/longtasks/task/status\?.*longtask-delivery"


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("fault", ["hang", "hangAfter"])
async def test_an_operator_is_killed_in_the_middle_of_the_call(
    namespace: Kube,
    replicas: Callable[[str], OperatorProcess],
    memory: AgentCoreMemory,
    tmp_path: Path,
    fault: str,
    number: int,
) -> None:
    session = namespace.namespace
    memory.fault("CreateEvent", fault, match={"sessionId": session})
    victim, heir = replicas("victim"), replicas("heir")
    task = await asyncio.to_thread(end, namespace, "task", session)
    await asyncio.to_thread(victim.start)

    def called() -> bool:
        return any(call.get("sessionId") == session for call in memory.calls("CreateEvent"))

    await asyncio.to_thread(eventually, called, bool)
    victim.kill()
    await asyncio.to_thread(heir.start)
    status = await asyncio.to_thread(task.delivered)

    assert [event["eventId"] for event in status["delivery"]["events"]] == told(memory, task)
    assert len(told(memory, task)) == 1
    assert status["phase"] == "Succeeded"
    if number == 0:
        assert are_its_pair(await restored(memory, task, tmp_path), task)


@pytest.mark.parametrize("fault", ["reset", "resetAfter", "hang", "hangAfter"])
async def test_one_long_term_record_whose_answer_is_lost_or_whose_operator_is_killed(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], memory: AgentCoreMemory, fault: str
) -> None:
    """A call without an answer is where the operator is killed; a cut one it makes again itself."""
    memory.fault("BatchCreateMemoryRecords", fault)
    before = len(memory.calls("BatchCreateMemoryRecords"))
    snapshot = SNAPSHOT | {"delivery": {"longTermRecord": True}}
    task = await asyncio.to_thread(end, namespace, "task", namespace.namespace, templateSnapshot=snapshot)
    first = await asyncio.to_thread(replicas("first").start)

    await asyncio.to_thread(eventually, lambda: len(memory.calls("BatchCreateMemoryRecords")), lambda n: n > before)
    if fault.startswith("hang"):
        first.kill()
        await asyncio.to_thread(replicas("heir").start)
    status = await asyncio.to_thread(task.delivered)

    assert len(told(memory, task)) == 1
    assert records(memory, task) == [status["delivery"]["recordId"]]
    assert status["phase"] == "Succeeded"


def records(memory: AgentCoreMemory, task: Ended) -> list[str]:
    """The ids of the task's records in long-term memory."""
    pages = (
        memory.client().get_paginator("list_memory_records").paginate(memoryId=MEMORY, namespace=f"/longtasks/{ACTOR}/")
    )
    found = [each for page in pages for each in page["memoryRecordSummaries"]]
    return [each["memoryRecordId"] for each in found if task.uid in each["content"]["text"]]
