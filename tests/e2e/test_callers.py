"""Two callers: neither learns anything of the other's tasks, not even that they are there."""

import uuid
from collections.abc import Callable

import httpx2
import pytest

from tests.e2e.conftest import Session
from tests.e2e.following import FOR_LONG, in_phase
from tests.e2e.installation import AGENTS, OUTSIDER, Installation
from tests.mcp.replica import Reply


@pytest.fixture(scope="module")
def key(new_key: Callable[[], str]) -> str:
    return new_key()


@pytest.fixture(scope="module")
async def alices(as_alice: Session, key: str) -> Reply:
    """A running task of alice, started under `key`."""
    async with as_alice() as agent:
        task: Reply = await agent.call("e2e_python", code=FOR_LONG, idempotency_key=key)
        await in_phase(agent, task.task_id, "Running")
    return task


@pytest.mark.parametrize(
    "tool", ["check_task_status", "get_task_results", "wait_for_task", "cancel_task", "get_task_logs"]
)
async def test_a_task_of_another_caller_is_answered_like_an_id_that_does_not_exist(
    as_bob: Session, alices: Reply, tool: str
) -> None:
    unknown = str(uuid.uuid4())
    async with as_bob() as agent:
        hers = await agent.call(tool, task_id=alices.task_id)
        nobodys = await agent.call(tool, task_id=unknown)
        by_name = await agent.call(tool, task_id=alices.envelope["name"])
    assert hers.error
    assert hers.text == nobodys.text.replace(unknown, alices.task_id)
    assert by_name.text == nobodys.text.replace(unknown, alices.envelope["name"])
    assert hers.envelope == {"error_code": "task_not_found", "message": hers.text}


async def test_a_list_shows_the_callers_own_tasks_only(as_alice: Session, as_bob: Session, alices: Reply) -> None:
    async with as_alice() as agent:
        hers = await agent.call("list_tasks", limit=100)
    async with as_bob() as agent:
        his = await agent.call("list_tasks", limit=100)
    assert alices.task_id in hers.text
    assert not {each["task_id"] for each in hers.envelope["tasks"]} & {
        each["task_id"] for each in his.envelope["tasks"]
    }


async def test_the_same_key_of_another_caller_is_another_start(
    installation: Installation, as_alice: Session, as_bob: Session, alices: Reply, key: str
) -> None:
    async with as_bob() as agent:
        his = await agent.call("e2e_python", code="pass", idempotency_key=key)
    assert not his.error, his.text
    assert his.task_id != alices.task_id
    async with as_alice() as agent:
        hers = await in_phase(agent, alices.task_id, "Running")
        foreign = await agent.call("check_task_status", task_id=his.task_id)
        await agent.call("cancel_task", task_id=alices.task_id)
    assert hers.envelope["status"] == "running"
    assert "cancelled" not in hers.text
    assert foreign.error


async def test_an_account_that_the_chart_does_not_list_is_refused_by_name(installation: Installation) -> None:
    headers = {"Authorization": f"Bearer {installation.tokens[OUTSIDER]}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http:
        response = await http.post(await installation.url("service/longtask-mcp"), json={})
    assert response.status_code == 403
    assert f"system:serviceaccount:{AGENTS}:{OUTSIDER} may not create longtasks" in response.text
