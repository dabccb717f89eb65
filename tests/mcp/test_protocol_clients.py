"""Real clients of the MCP Tasks extension live a task to its end. What they trip over cancels the work of their users.

The tests play the work. Claude Code itself is not here: tests/mcp/tasks_client.py does as it does.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from tests import node
from tests.docs.pages import blocks
from tests.mcp.replica import ROOT, Agent, Replica
from tests.mcp.tasks_client import tasks_client
from tests.mcp.world import World, eventually

STRANDS = ROOT / ".venv-strands-modern" / "bin" / "python"
CLIENTS = Path(__file__).parent / "clients"
QUESTION = {"id": "deploy", "message": "Deploy?", "createdTime": "2026-11-22T10:00:00Z"}
REQUESTER = (CLIENTS / "ext_tasks.mjs").read_text()
[PAGE] = blocks("python", "strands")
Agents = Callable[..., AbstractAsyncContextManager[Agent]]


class Work:
    """The task of one key, played by the test."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.key = uuid.uuid4().hex

    @property
    def arguments(self) -> dict[str, Any]:
        return {"model_name": "m", "idempotency_key": self.key}

    async def task(self) -> LongTask:
        async def look() -> list[LongTask]:
            return await self.world.tasks(self.key)

        [task] = await eventually(look, "the task is made")
        return task

    async def is_(self, **status: Any) -> None:
        await self.world.set_status((await self.task()).metadata.uid, attemptCount=1, **status)

    async def ends(self, **status: Any) -> None:
        await self.is_(startTime="2026-11-22T10:00:00Z", completionTime="2026-11-22T10:01:00Z", **status)

    async def succeeds(self) -> None:
        await self.ends(phase="Succeeded", result={"attempt": 1, "value": {"accuracy": 0.97}})


@pytest.fixture
def work(world: World) -> Work:
    return Work(world)


@asynccontextmanager
async def strands(
    replica: Replica, token: str, work: Work, poll_timeout: int | None = None
) -> AsyncIterator[asyncio.Task[Any]]:
    """A call of the Strands client; what the model is shown at its end."""
    if not STRANDS.exists():
        pytest.fail(f"{STRANDS} is not there: `make test` makes it, or `make .venv-strands-modern/ready`")
    plan = {
        "url": replica.url,
        "token": token,
        "tool": "model_training",
        "arguments": work.arguments,
        "poll_timeout": poll_timeout,
        "code": PAGE.text,
    }
    process = await asyncio.create_subprocess_exec(
        STRANDS,
        CLIENTS / "strands_tasks.py",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    async def shown() -> Any:
        output, errors = await process.communicate(json.dumps(plan).encode())
        assert process.returncode == 0, errors.decode()
        return json.loads(output)

    running = asyncio.create_task(shown())
    try:
        yield running
    finally:
        running.cancel()
        if process.returncode is None:
            process.kill()


async def polled(replica: Replica, times: int = 1) -> None:
    """Return after so many more polls of whatever client."""
    line = 'longtask_mcp_tool_calls_total{outcome="ok",tool="tasks/get"}'
    before = await replica.metric(line)

    async def more() -> bool:
        return await replica.metric(line) >= before + times

    await eventually(more, "the client polls")


async def test_strands_gets_the_result_of_long_work(replica: Replica, alice: str, work: Work) -> None:
    """Clocks differ: one report is dated before the last one, as by another replica of the operator."""
    async with strands(replica, alice, work) as call:
        created = (await work.task()).metadata.creation_timestamp
        assert created is not None
        for sequence, second in enumerate((50, 10, 60)):
            updated = rfc3339(created + timedelta(seconds=second))
            progress = {"attempt": 1, "sequence": sequence + 1, "fraction": sequence / 10, "updatedTime": updated}
            await work.is_(phase="Running", progress=progress)
            await polled(replica)
        await work.succeeds()
        shown = await call
    assert shown["status"] == "success"
    assert shown["structuredContent"]["result"] == {"accuracy": 0.97}
    assert not (await work.task()).spec.cancel_requested


async def test_strands_shows_its_model_why_work_failed(replica: Replica, alice: str, work: Work) -> None:
    async with strands(replica, alice, work) as call:
        await work.ends(phase="Failed", failure={"reason": "OOMKilled", "message": "out of memory"})
        shown = await call
    assert shown["status"] == "error"
    assert "OOMKilled: out of memory" in shown["content"][0]["text"]


async def test_strands_that_cannot_ask_goes_on_while_somebody_else_answers(
    replica: Replica, alice: str, work: Work, as_alice: Agents
) -> None:
    async with strands(replica, alice, work) as call:
        await work.is_(phase="WaitingForInput", inputRequests=[QUESTION])
        await polled(replica, times=2)
        assert not call.done()
        async with as_alice() as agent:
            answer = await agent.call("answer_task", task_id=(await work.task()).metadata.uid, answer="yes")
        assert not answer.error
        await work.succeeds()
        assert (await call)["status"] == "success"


async def test_the_work_goes_on_when_strands_has_waited_long_enough(replica: Replica, alice: str, work: Work) -> None:
    """It cancels what exceeds its poll_timeout, five minutes unless it is told otherwise."""
    async with strands(replica, alice, work, 4) as call:
        await work.is_(phase="Running")
        shown = await call
    assert shown["status"] == "error"
    assert "timed out" in shown["content"][0]["text"]
    uid = (await work.task()).metadata.uid

    async def noted() -> bool:
        return f"tasks/cancel of task {uid} is acknowledged, and the task goes on" in replica.log()

    await eventually(noted, "the client cancels")
    assert not (await work.task()).spec.cancel_requested


def requester(replica: Replica, token: str, work: Work, **more: Any) -> asyncio.Task[Any]:
    """A call of the official TypeScript requester (ext-tasks)."""
    plan = {"url": replica.url, "token": token, "tool": "model_training", "arguments": work.arguments, **more}

    async def outcome() -> Any:
        return json.loads(await node.module(REQUESTER, json.dumps(plan)))

    return asyncio.create_task(outcome())


async def answered(work: Work) -> bool:
    return (await work.task()).answer_to("deploy") is not None


async def test_the_official_requester_asks_its_user(replica: Replica, alice: str, work: Work) -> None:
    call = requester(replica, alice, work, answer="yes")
    await work.is_(phase="WaitingForInput", inputRequests=[QUESTION])
    await eventually(lambda: answered(work), "the question is answered")
    assert (await work.task()).answer_to("deploy") == '"yes"'
    await work.succeeds()
    told = await call
    assert told["errors"] == []
    assert told["kind"] == "task"
    assert told["outcome"]["status"] == "completed"
    assert told["outcome"]["result"]["structuredContent"]["result"] == {"accuracy": 0.97}


async def test_the_official_requester_without_a_handler_leaves_the_question_open(
    replica: Replica, alice: str, work: Work, as_alice: Agents
) -> None:
    """It answers each question with `cancel` by itself."""
    call = requester(replica, alice, work)
    await work.is_(phase="WaitingForInput", inputRequests=[QUESTION])

    async def refused() -> bool:
        return f"question deploy of task {(await work.task()).metadata.uid} is not answered" in replica.log()

    await eventually(refused, "the requester cancels the question")
    assert not await answered(work)
    async with as_alice() as agent:
        await agent.call("answer_task", task_id=(await work.task()).metadata.uid, answer="yes")
    await work.succeeds()
    told = await call
    assert told["outcome"]["status"] == "completed"


INSPECTOR = "node_modules/@modelcontextprotocol/inspector/clients"


async def test_the_inspector_waits_for_the_result_of_its_call(replica: Replica, alice: str, work: Work) -> None:
    call = asyncio.create_task(
        node.node(
            f"{INSPECTOR}/launcher/build/index.js",
            *("--cli", "--server-url", replica.url, "--protocol-era", "modern", "--format", "json", "--quiet"),
            *("--header", f"Authorization: Bearer {alice}", "--method", "tools/call"),
            *("--tool-name", "model_training", "--tool-args-json", json.dumps(work.arguments)),
        )
    )
    await work.succeeds()
    code, output, errors = await call
    assert code == 0, errors
    assert "accuracy" in output


@pytest.fixture
async def connection(replica: Replica, alice: str, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """A command of the Inspector's connected command line; what it prints."""
    server = {
        "type": "streamable-http",
        "url": replica.url,
        "headers": {"Authorization": f"Bearer {alice}"},
        "protocolEra": "modern",
    }
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"longtask": server}}))
    own = {"HOME": str(tmp_path), "MCP_INSPECTOR_DAEMON_DIR": str(tmp_path), "MCP_INSPECTOR_DAEMON_TOKEN": "secret"}

    async def command(*arguments: str) -> str:
        program = f"{INSPECTOR}/mcpdo/build/mcp-bin.js"
        code, output, errors = await node.node(program, "--connection", "longtask", *arguments, more=own)
        assert code == 0, (output, errors)
        return output

    try:
        await command("--config", str(config), "connect", "longtask")
        yield command
    finally:
        await command("daemon", "stop")


async def test_the_inspector_looks_at_a_task_and_answers_it(
    connection: Callable[..., Any], replica: Replica, alice: str, work: Work
) -> None:
    async with tasks_client(replica.url, alice) as client:
        task_id = (await client.call("model_training", **work.arguments))["taskId"]
    await work.is_(phase="WaitingForInput", inputRequests=[QUESTION])
    assert "input_required" in await connection("tasks/get", task_id)
    responses = json.dumps({"deploy": {"action": "accept", "content": {"answer": "yes"}}})
    await connection("tasks/update", task_id, "--input-responses", responses)
    assert (await work.task()).answer_to("deploy") == '"yes"'
    await work.succeeds()
    assert "accuracy" in await connection("tasks/result", task_id)
