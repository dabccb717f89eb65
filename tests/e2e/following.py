"""What an agent does after a start: it looks, it waits, it is told."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.mcp.replica import Agent, Reply
from tests.operator.tasks import WHEN_TOLD
from tests.patience import PATIENCE

WRITE = "open('/dev/termination-log', 'w').write"
FOR_LONG = "import time; print('working', flush=True); time.sleep(600)"


def asleep(seconds: float, result: str = "done") -> str:
    """Code that sleeps and then gives a result."""
    return f"import time; print('working', flush=True); time.sleep({seconds}); {WRITE}({result!r})"


def when_told(result: str) -> str:
    """Code that gives a result when `Installation.go` says so."""
    return f"{WHEN_TOLD}\n{WRITE}({result!r})"


async def ended(agent: Agent, task_id: str, seconds: float = PATIENCE) -> Reply:
    """What wait_for_task says when the task has ended."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        reply = await agent.call("wait_for_task", task_id=task_id, timeout_seconds=min(left, 50))
        assert not reply.error, reply.text
        if reply.envelope["status"] in ("completed", "failed", "cancelled"):
            return reply
    raise AssertionError(f"not ended after {seconds} s: {reply.text}")


async def told(agent: Agent, task_id: str, part: str) -> Reply:
    """What check_task_status says as soon as it contains `part`."""
    return await answered(agent, "check_task_status", lambda reply: part in reply.text, task_id=task_id)


async def in_phase(agent: Agent, task_id: str, phase: str) -> Reply:
    """What check_task_status says as soon as the task is in that phase."""
    return await answered(
        agent, "check_task_status", lambda reply: reply.envelope.get("phase") == phase, task_id=task_id
    )


async def answered(agent: Agent, tool: str, when: Callable[[Reply], bool], /, **arguments: Any) -> Reply:
    """The first answer of a tool that is as wanted; fails with what was answered last."""
    deadline = time.monotonic() + PATIENCE
    while not when(reply := await agent.call(tool, **arguments)):
        assert time.monotonic() < deadline, f"{tool} still answers: {reply.text}"
        await asyncio.sleep(0.1)
    return reply


@dataclass
class Wait:
    """A call of wait_for_task that goes on in the background, and the notifications it brought."""

    heard: list[tuple[float, float | None, str]] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)
    second: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self, progress: float, total: float | None, message: str | None) -> None:
        self.heard.append((progress, total, message or ""))
        (self.second if self.first.is_set() else self.first).set()

    async def call(self, agent: Agent, task_id: str) -> Reply:
        arguments = {"task_id": task_id}
        return Reply.of(await agent.client.call_tool("wait_for_task", arguments, progress_callback=self.hear))
