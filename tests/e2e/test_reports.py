"""What the work tells while it runs, and what becomes of the work when nobody hears it."""

import time
from collections.abc import Callable

from tests.e2e.conftest import Session
from tests.e2e.following import ended, told
from tests.e2e.installation import Installation
from tests.mcp.world import eventually

AWAY = 60
"""How long the task API is away, in seconds."""
COUNT, PAUSE = 450, 0.2
"""Steps of the work, and how long each is, in seconds."""


async def test_a_task_api_that_is_away_for_a_minute_costs_the_work_nothing_but_freshness(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as agent:
        telling, silent = [
            await agent.call("e2e_steps", count=COUNT, pause=PAUSE, tell=tell, wait=tell, idempotency_key=new_key())
            for tell in (True, False)
        ]
        await told(agent, telling.task_id, "step ")
        async with installation.without_operators():
            since = time.monotonic()

            async def over() -> bool:
                return time.monotonic() - since > AWAY

            await eventually(over, "a minute without operators", 2 * AWAY)
            before = await agent.call("check_task_status", task_id=telling.task_id)
        await installation.go(telling.task_id)
        replies = [await ended(agent, task.task_id) for task in (telling, silent)]
    assert [reply.envelope["status"] for reply in replies] == ["completed", "completed"], replies[0].text
    spoke, kept_silent = (reply.envelope["result"]["seconds"] for reply in replies)
    print(f"{spoke:.2f} s with reports and an outage, {kept_silent:.2f} s without reports")
    assert abs(spoke / kept_silent - 1) < 0.02
    assert before.envelope["progress"]["current"] < COUNT / 2
    assert replies[0].envelope["progress"]["display"] == f"100% (step {COUNT}/{COUNT})"
    assert [reply.envelope["attempts"] for reply in replies] == [1, 1]
