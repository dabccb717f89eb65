"""However often, and however badly, a start is asked for: one task, one Job, one pod."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Session
from tests.e2e.following import asleep, ended
from tests.e2e.installation import Installation
from tests.e2e.killed_client import MOMENTS
from tests.mcp.replica import ROOT
from tests.patience import PATIENCE


async def test_twenty_starts_at_once_with_one_key_over_both_replicas_are_one_task(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    key = new_key()
    one, other = await installation.all_ready("mcp")
    async with (
        as_alice(pod=one) as a,
        as_alice(pod=one) as b,
        as_alice(pod=other) as c,
        as_alice(pod=other, era="legacy") as d,
    ):
        calls = [agent.call("e2e_python", code=asleep(0), idempotency_key=key) for agent in [a, b, c, d] * 5]
        replies = await asyncio.gather(*calls)
        assert [reply.text for reply in replies if reply.error] == []
        [task_id] = {reply.task_id for reply in replies}
        assert (await ended(c, task_id)).envelope["attempts"] == 1
    assert [task.metadata.uid for task in await installation.world.tasks(key)] == [task_id]
    assert await installation.ran_once(task_id)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_client_killed_in_the_middle_of_a_start_and_a_repeat_make_one_task(
    installation: Installation, as_alice: Session, new_key: Callable[[], str], moment: str
) -> None:
    key, code = new_key(), asleep(0)
    victim, other = await installation.all_ready("mcp")
    environment = os.environ | {
        "MCP_URL": await installation.url(f"pod/{victim}"),
        "MCP_TOKEN": installation.tokens["alice"],
    }
    arguments = ("-m", "tests.e2e.killed_client", moment, key, code)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, env=environment)
    assert await asyncio.wait_for(process.wait(), PATIENCE) == -signal.SIGKILL
    async with as_alice(pod=other) as agent:
        again = await agent.call("e2e_python", code=code, idempotency_key=key)
        assert not again.error, again.text
        reply = await ended(agent, again.task_id)
    assert reply.envelope["status"] == "completed"
    assert [task.metadata.uid for task in await installation.world.tasks(key)] == [again.task_id]
    assert await installation.ran_once(again.task_id)
