"""The whole mission: an agent starts work and goes away; the next agent of its session knows what came of it.

With LONGTASK_REAL_MEMORY_ID, AWS_REGION and credentials in the environment, the memory is one on AWS.
"""

import asyncio
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.agentcore import clear_faults, script_fault
from tests.agents import ENVIRONMENTS, Agent
from tests.e2e.installation import MEMORY_ID, REAL_MEMORY, TASKS, Installation
from tests.e2e.programs import kubectl
from tests.mcp.world import eventually
from tests.patience import PATIENCE

DONE = {"say": "It is started; I tell you when I know more."}


@dataclass
class Conversation:
    """A session of a user of the agent service; each agent in it is a process of its own."""

    installation: Installation
    environment: str
    memory: dict[str, str]

    async def open(self, *prompts: str, composite: bool = False, **more: Any) -> Any:
        """What a new agent saw; `more` of its plan, such as `steps`."""
        token = self.installation.tokens["service"]
        session = "@@@".join(self.memory[key] for key in ("sessionId", "memoryId", "actorId"))
        speaks_for = {
            "X-LongTask-Memory-Id": self.memory["memoryId"],
            "X-LongTask-Actor-Id": self.memory["actorId"],
            "X-LongTask-Session-Id": self.memory["sessionId"],
        }
        headers = {"Mcp-Session-Id": session} if composite else speaks_for
        plan = {
            "memory": self.memory,
            "prompts": prompts,
            **more,
            "mcp": {
                "url": await self.installation.url("service/longtask-mcp"),
                "headers": {"Authorization": f"Bearer {token}", **headers},
            },
        }
        settings = await self.installation.agents_environment()
        return await asyncio.to_thread(lambda: Agent(self.environment, plan, settings).report())


@pytest.fixture(params=ENVIRONMENTS, ids=list(ENVIRONMENTS.values()))
async def conversation(installation: Installation, request: pytest.FixtureRequest) -> Conversation:
    memory = {"memoryId": MEMORY_ID, "actorId": f"ann-{uuid.uuid4().hex[:8]}", "sessionId": "tuesday"}
    return Conversation(installation, request.param, memory)


def start(code: str) -> dict[str, Any]:
    return {"call": "e2e_python", "arguments": {"code": code, "idempotency_key": uuid.uuid4().hex}}


def started(report: Any) -> str:
    """The id of the task that the agent started."""
    [result] = results_in(report["messages"])
    assert result["status"] == "success", result
    assert "conversation's memory" in result["content"][0]["text"]
    return str(result["structuredContent"]["task_id"])


def results_in(messages: list[Any]) -> list[Any]:
    return [part["toolResult"] for message in messages for part in message["content"] if "toolResult" in part]


async def newest() -> str:
    """The id of the task that was started last."""
    oldest_first = ("--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={.items[-1:].metadata.uid}")
    return (await kubectl("get", "-n", TASKS, "longtasks", *oldest_first)).done()


async def told(uid: str, status: str = "true") -> None:
    """Wait until the session knows, or until it is known that it does not."""
    listed = json.loads((await kubectl("get", "-n", TASKS, "longtasks", "-o", "json")).done())
    [name] = [each["metadata"]["name"] for each in listed["items"] if each["metadata"]["uid"] == uid]
    condition = f"--for=condition=Delivered={status}"
    (await kubectl("wait", "-n", TASKS, f"longtask/{name}", condition, f"--timeout={PATIENCE}s")).done()


async def _written(installation: Installation, uid: str, name: str) -> None:
    """Wait until the event of that name is in the session."""

    async def written() -> bool:
        delivery = (await installation.world.task(uid)).status.delivery
        return delivery is not None and any(each.name == name and each.event_id for each in delivery.events)

    await eventually(written, f"event {name} of task {uid}")


def news_in(report: Any) -> list[list[str]]:
    """What the hook told, of each message that is no tool result."""
    said = [message["content"] for message in report["messages"] if "toolResult" not in message["content"][0]]
    return [[part["text"] for part in content if "longtask_news" in part.get("text", "")] for content in said]


def text_of(messages: list[Any]) -> str:
    return "\n".join(part.get("text", "") for message in messages for part in message["content"])


@pytest.mark.parametrize("composite", [False, True], ids=["headers", "composite id"])
async def test_the_next_agent_of_the_session_knows_the_result(conversation: Conversation, composite: bool) -> None:
    code = "open('/dev/termination-log', 'w').write('{\"score\": 0.87}')"
    first = await conversation.open("Train a model.", steps=(start(code), DONE), composite=composite)
    uid = started(first)
    await told(uid)

    second = await conversation.open("How did it go?", composite=composite)

    assert [each["role"] for each in second["restored"]] == ["user", "assistant"] * 3
    assert f"task ID {uid}" in text_of(second["restored"])
    assert '{"score": 0.87}' in text_of(second["restored"])


@pytest.mark.parametrize(
    ("tool", "arguments", "told_in_short"),
    [
        pytest.param("e2e_faces", {"count": 9000}, "Summary: 9000 faces", id="9,000 emoji"),
        pytest.param("e2e_large", {"size": 5 << 20}, "too large for this notice: 5,", id="5 MB"),
    ],
)
async def test_a_large_result_is_told_in_short_and_read_by_the_next_agent(
    conversation: Conversation, tool: str, arguments: dict[str, Any], told_in_short: str
) -> None:
    if tool == "e2e_large" and not conversation.installation.has_bucket:
        pytest.skip("the bucket is on this machine, and pods do not reach it: set LONGTASK_HOST_ADDRESS")
    key = {"idempotency_key": uuid.uuid4().hex}
    uid = started(await conversation.open("Work.", steps=({"call": tool, "arguments": arguments | key}, DONE)))
    await told(uid)

    last = {"call": "get_task_results", "arguments": {"task_id": uid, "page": 2}}
    second = await conversation.open("Read on.", steps=(last, DONE))

    assert told_in_short in text_of(second["restored"])
    assert len(text_of(second["restored"][-2:]).encode()) <= 4096
    part = results_in(second["messages"])[-1]["structuredContent"]
    while part.get("next", {}).get("arguments") == last["arguments"]:  # the store or the operator is busy
        second = await conversation.open("Try again.", steps=(last, DONE))
        part = results_in(second["messages"])[-1]["structuredContent"]
    assert part["page"] == 2
    assert "😀" in part["result"]


async def test_the_next_agent_of_the_session_knows_why_it_failed(conversation: Conversation) -> None:
    code = "raise SystemExit('row 17 has no price')"
    uid = started(await conversation.open("Crunch the rows.", steps=(start(code), DONE)))
    await told(uid)

    second = await conversation.open("How did it go?")

    assert "failed after 1 attempt: Error. Exit code 1" in text_of(second["restored"])
    assert "row 17 has no price" in text_of(second["restored"])


async def test_a_fresh_agent_is_briefed_and_another_user_of_the_service_is_not(conversation: Conversation) -> None:
    uid = started(await conversation.open("Train a model.", steps=(start("pass"), DONE)))
    await told(uid)
    brief = {"call": "resume_brief", "arguments": {"all_sessions": True}}
    other = Conversation(
        conversation.installation,
        conversation.environment,
        {**conversation.memory, "actorId": f"bob-{uuid.uuid4().hex[:8]}"},
    )

    own = await conversation.open("What is there?", steps=(brief, DONE))
    others = await other.open("What is there?", steps=(brief, DONE))

    assert uid in json.dumps(own["messages"][-2])
    assert uid not in json.dumps(others["messages"])
    assert others["restored"] == []


async def test_milestones_are_told_while_the_work_goes_on_and_its_end_is_remembered(conversation: Conversation) -> None:
    work = {"call": "e2e_milestones", "arguments": {"at": [30, 60]}}
    uid = started(await conversation.open("Count.", steps=(work, DONE)))
    for name in ("progress-30", "progress-60"):
        await _written(conversation.installation, uid, name)
        await conversation.installation.go(uid)
    await told(uid)

    second = await conversation.open("How did it go?")
    lines = [line for line in text_of(second["restored"]).splitlines() if line.startswith("Task e2e-milestones")]
    environment = {**os.environ, **await conversation.installation.agents_environment()}
    records = boto3.session.Session().client(
        "bedrock-agentcore",
        region_name=environment["AWS_REGION"],
        endpoint_url=environment.get("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"),
        aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=environment.get("AWS_SESSION_TOKEN"),
    )
    [record] = records.list_memory_records(
        memoryId=MEMORY_ID, namespace=f"/longtasks/{conversation.memory['actorId']}/"
    )["memoryRecordSummaries"]

    assert [words for line in lines for words in ("30%", "60%", "completed") if f" {words} " in line] == [
        "30%",
        "60%",
        "completed",
    ]
    assert "completed in" in record["content"]["text"]


async def test_an_agent_that_stays_open_is_told_by_the_hook_and_once(
    conversation: Conversation, tmp_path: Path
) -> None:
    files: dict[str, Any] = {"started": str(tmp_path / "started"), "wait_for": str(tmp_path / "go")}
    steps = (start("pass"), {"call": "wait"}, DONE, DONE, DONE)
    live = asyncio.create_task(conversation.open("Train.", "And now?", "And then?", steps=steps, news=True, **files))
    while not (tmp_path / "started").exists():
        await asyncio.sleep(0.1)
        assert not live.done(), live.result()
    await told(await newest())
    (tmp_path / "go").touch()

    report = await live

    news = news_in(report)
    assert [len(each) for each in news] == [0, 0, 0, 0, 1, 0, 0, 0]
    assert "completed" in news[4][0]


@pytest.mark.skipif(bool(REAL_MEMORY), reason="a memory on AWS refuses nothing on request")
async def test_the_hook_tells_a_new_agent_what_its_session_was_not_told(conversation: Conversation) -> None:
    environment = await conversation.installation.agents_environment()
    emulator = environment["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"]
    ours = {"actorId": conversation.memory["actorId"], "metadata": {"longtaskEvent": "result"}}
    await asyncio.to_thread(script_fault, emulator, "CreateEvent", "denied", times=100, match=ours)
    try:
        uid = started(await conversation.open("Train.", steps=(start("pass"), DONE)))
        await told(uid, "false")
        report = await conversation.open("And now?", "And then?", steps=(DONE, DONE), news=True)
    finally:
        await asyncio.to_thread(clear_faults, emulator)

    assert "completed" not in text_of(report["restored"])
    news = news_in(report)[len(report["restored"]) - 1 :]
    assert [len(each) for each in news] == [1, 0, 0, 0]
    assert uid in news[0][0]
