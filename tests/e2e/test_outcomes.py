"""What an agent reads of work that ended, by what its pod did. All start together, each test waits for its own."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.conftest import Session
from tests.e2e.following import FOR_LONG, WRITE, ended, told
from tests.e2e.installation import Installation
from tests.mcp.world import eventually

SAID = "$(KUBERNETES_SERVICE_HOST) $$ $HOME $(LONGTASK_ID)"
DOLLARS = f"""
import json, os
said = '{SAID}'
parameters = json.loads(os.environ['LONGTASK_PARAMETERS'])
ways = [said, os.environ['LONGTASK_PARAM_CODE'], parameters['code']]
{WRITE}(json.dumps([said, *('{SAID}' in way for way in ways)]))
"""


@dataclass(frozen=True)
class Case:
    """Code to run, the status that must come of it, and parts of what the agent is told then."""

    code: str
    status: str
    told: tuple[str, ...]
    tool: str = "e2e_python"
    envelope: dict[str, Any] = field(default_factory=dict)
    runs: bool = True


CASES = {
    "work with a JSON result": Case(
        f'{WRITE}(\'{{"score": 0.5, "name": "ü"}}\')',
        "completed",
        ("completed in ", 'Result:\n{"name": "ü", "score": 0.5}'),
        envelope={"result": {"score": 0.5, "name": "ü"}, "attempts": 1},
    ),
    "work with a text as its result": Case(
        f"{WRITE}('all is well')", "completed", ("Result:\nall is well",), envelope={"result": "all is well"}
    ),
    "work with the largest result that fits": Case(
        f"{WRITE}('r' * 4095)", "completed", ("Result:\n" + "r" * 4095,), envelope={"result": "r" * 4095}
    ),
    "work with a result that is too large": Case(
        f"{WRITE}('r' * 5000)", "failed", ("ResultTooLarge", "4095 fit", "Hint: Hand it in with PUT")
    ),
    "work that fails": Case(
        "print('before'); print('it broke'); raise SystemExit(3)",
        "failed",
        (
            "failed after 1 attempt: Error: exit code 3",
            "Hint: The log tail shows what happened",
            "Last log:\nbefore\nit broke\n",
            "Full log: get_task_logs.",
        ),
    ),
    "work that needs too much memory": Case(
        "print('filling', flush=True); x = b'x' * 10**9",
        "failed",
        ("OOMKilled", "(limit 32Mi)", "Hint: Start again with parameters that need less memory", "Last log:\nfilling"),
        tool="e2e_small",
    ),
    "work that takes longer than its deadline": Case(
        FOR_LONG,
        "failed",
        ("DeadlineExceeded", "activeDeadlineSeconds (30 s)", "Hint: Give it less to do", "Last log:\nworking"),
        tool="e2e_short",
    ),
    "work that no node takes": Case(
        "pass",
        "failed",
        (
            "failed before it ran: Unschedulable",
            "gave up after 20 s",
            "Hint: Correct nodeSelector",
            "so there is no log",
        ),
        tool="e2e_no_node_soon",
        runs=False,
    ),
    "work whose image is not there": Case(
        "pass",
        "failed",
        (
            "failed before it ran: ",
            "localhost/none:1",
            "gave up after 45 s",
            "Hint: The node cannot reach the image's registry",
        ),
        tool="e2e_no_image",
        runs=False,
    ),
    "work with dollars in its parameters": Case(
        DOLLARS, "completed", (), envelope={"result": [SAID, True, True, True]}
    ),
}


@pytest.fixture(scope="module")
async def started(as_alice: Session, new_key: Callable[[], str]) -> dict[str, str]:
    """The task ids of all cases, under way at the same time."""
    async with as_alice() as agent:
        calls = [agent.call(case.tool, code=case.code, idempotency_key=new_key()) for case in CASES.values()]
        replies = await asyncio.gather(*calls)
    return dict(zip(CASES, (reply.task_id for reply in replies), strict=True))


async def test_work_that_cannot_start_says_why_while_it_waits(started: dict[str, str], as_alice: Session) -> None:
    async with as_alice() as agent:
        waiting = await told(agent, started["work that no node takes"], "Unschedulable: no node takes the pod: ")
    assert waiting.envelope["status"] == "started"
    assert "do not start it again" in waiting.text


@pytest.mark.parametrize("name", CASES)
async def test_the_agent_is_told_of(
    installation: Installation, started: dict[str, str], as_alice: Session, name: str
) -> None:
    case, task_id = CASES[name], started[name]
    async with as_alice() as agent:
        reply = await ended(agent, task_id)
        assert reply.envelope["status"] == case.status, reply.text
        for part in case.told:
            assert part in reply.text
        assert {key: reply.envelope.get(key) for key in case.envelope} == case.envelope
        results = await agent.call("get_task_results", task_id=task_id)
        assert (results.text, results.error) == (reply.text, False)
    assert json.loads(json.dumps(results.envelope)) == reply.envelope
    if case.runs:
        assert await installation.ran_once(task_id)
    else:
        await eventually(lambda: installation.nothing_left(task_id), "Job and pod gone")
