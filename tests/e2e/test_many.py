"""A crowd of tasks at once."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from longtask_api import constants
from tests.e2e.conftest import Session
from tests.e2e.installation import Installation
from tests.mcp.replica import Agent
from tests.mcp.world import eventually

COUNT = 100


async def test_a_hundred_tasks_at_once_all_end_each_with_one_job_and_one_pod(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    one, other = await installation.all_ready("mcp")
    began = time.monotonic()
    async with as_alice(pod=one) as here, as_alice(pod=other) as there:
        calls = [
            agent.call("e2e_number", number=number, idempotency_key=new_key())
            for agent, number in zip([here, there] * (COUNT // 2), range(COUNT), strict=True)
        ]
        started = [reply.task_id for reply in await asyncio.gather(*calls)]
        answered = time.monotonic() - began

        async def all_ended() -> bool:
            states = await all_states(here)
            return all(states.get(task_id, "started") not in ("started", "running") for task_id in started)

        await eventually(all_ended, f"the end of {COUNT} tasks", 240)
        print(f"{COUNT} tasks: handles after {answered:.1f} s, all ended after {time.monotonic() - began:.1f} s")
        results = await asyncio.gather(*(there.call("get_task_results", task_id=task_id) for task_id in started))
    assert [reply.envelope.get("result") for reply in results] == list(range(COUNT))
    assert {reply.envelope["attempts"] for reply in results} == {1}
    for documents in (await installation.jobs(template="e2e-number"), await installation.pods(template="e2e-number")):
        owners = Counter(each["metadata"]["labels"][constants.LABEL_TASK_UID] for each in documents)
        assert {task_id: owners[task_id] for task_id in started} == dict.fromkeys(started, 1)


async def all_states(agent: Agent) -> dict[str, str]:
    """The status of every task of the template, over all pages of the list."""
    states: dict[str, str] = {}
    page: dict[str, str] = {}
    while True:
        listed = await agent.call("list_tasks", template="e2e-number", limit=COUNT, **page)
        states |= {each["task_id"]: each["status"] for each in listed.envelope["tasks"]}
        if "cursor" not in listed.envelope:
            return states
        page = {"cursor": listed.envelope["cursor"]}
