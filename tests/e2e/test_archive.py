"""What a task gave is there when its object is gone, for whoever asked for it and for nobody else."""

from collections.abc import Callable

import pytest

from longtask_mcp.contract.answers import FROM_RECORD
from tests.e2e.conftest import Session
from tests.e2e.installation import TASKS, Installation
from tests.e2e.programs import kubectl
from tests.mcp.world import eventually
from tests.patience import PATIENCE

CODE = "open('/dev/termination-log', 'w').write('{\"score\": 0.87}')"


async def test_a_task_answers_with_the_same_words_when_its_object_is_gone(
    installation: Installation, as_alice: Session, as_bob: Session, new_key: Callable[[], str]
) -> None:
    if not installation.has_bucket:
        pytest.skip("pods do not reach the S3 server of this machine")
    async with as_alice() as agent:
        start = await agent.call("e2e_python", code=CODE, idempotency_key=new_key(), wait_seconds=50)
        before = [await agent.call(tool, task_id=start.task_id) for tool in ("check_task_status", "get_task_results")]
        name = start.envelope["name"]
        (
            await kubectl("wait", "-n", TASKS, f"longtask/{name}", "--for=condition=Archived", f"--timeout={PATIENCE}s")
        ).done()
        (await kubectl("delete", "-n", TASKS, "longtask", name)).done()

        async def gone() -> bool:
            listed = await agent.call("list_tasks", limit=100)
            return all(each["task_id"] != start.task_id for each in listed.envelope["tasks"])

        await eventually(gone, "the end of the object")
        after = [await agent.call(tool, task_id=start.task_id) for tool in ("check_task_status", "get_task_results")]
        listed = await agent.call("list_tasks", include_archived=True, limit=100)
    async with as_bob() as other:
        others = await other.call("get_task_results", task_id=start.task_id)

    assert [reply.text.removeprefix(FROM_RECORD) for reply in after] == [reply.text for reply in before]
    assert all(reply.envelope["archived"] for reply in after)
    assert start.task_id in listed.text
    assert others.error
    assert "task not found" in others.text
