"""What an agent does after a start: it looks, it waits, it is told."""

import asyncio
import time
from dataclasses import dataclass, field

from tests.mcp.replica import Agent, Reply
from tests.mcp.world import eventually

WRITE = "open('/dev/termination-log', 'w').write"
FOR_LONG = "import time; print('working', flush=True); time.sleep(600)"


def asleep(seconds: float, result: str = "done") -> str:
    """Code that sleeps and then gives a result."""
    return f"import time; print('working', flush=True); time.sleep({seconds}); {WRITE}({result!r})"


async def ended(agent: Agent, task_id: str, seconds: float = 120) -> Reply:
    """What wait_for_task says when the task has ended."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        reply = await agent.call("wait_for_task", task_id=task_id, timeout_seconds=min(left, 50))
        assert not reply.error, reply.text
        if reply.envelope["status"] in ("completed", "failed", "cancelled"):
            return reply
    raise AssertionError(f"not ended after {seconds} s: {reply.text}")


async def told(agent: Agent, task_id: str, part: str, seconds: float = 60) -> Reply:
    """What check_task_status says as soon as it contains `part`."""

    async def look() -> Reply | None:
        nonlocal reply
        reply = await agent.call("check_task_status", task_id=task_id)
        return reply if part in reply.text else None

    reply: Reply | None = None
    return await eventually(look, f"{part!r} in {reply}", seconds)


@dataclass
class Wait:
    """A call of wait_for_task that goes on in the background, and the notifications it brought."""

    heard: list[tuple[float, float | None, str]] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self, progress: float, total: float | None, message: str | None) -> None:
        self.heard.append((progress, total, message or ""))
        self.first.set()

    async def call(self, agent: Agent, task_id: str) -> Reply:
        arguments = {"task_id": task_id}
        return Reply.of(await agent.client.call_tool("wait_for_task", arguments, progress_callback=self.hear))
