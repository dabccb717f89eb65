"""SIGTERM: calls in flight are answered before the process ends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest

from tests.mcp.line import Line
from tests.mcp.replica import ERAS, Replica, agent, running
from tests.mcp.test_starting_once import raw_start
from tests.mcp.world import World, eventually


@pytest.fixture
async def mortal(world: World, kubeconfig: Path) -> AsyncIterator[Replica]:
    """A replica that the test may stop."""
    async with running(kubeconfig, world.namespace, kubeconfig.parent) as process:
        yield process


@pytest.mark.parametrize("era", ERAS)
async def test_a_wait_is_answered_and_the_task_can_be_asked_elsewhere(
    mortal: Replica, replica: Replica, alice: str, new_key: Callable[[], str], era: str
) -> None:
    waiting_began = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        waiting_began.set()

    async with agent(mortal.url, alice, era) as session:
        arguments = {"model_name": "digits", "idempotency_key": new_key(), "wait_seconds": 50}
        call = asyncio.create_task(session.client.call_tool("model_training", arguments, progress_callback=hear))
        await asyncio.wait_for(waiting_began.wait(), 60)
        mortal.terminate()
        began = time.monotonic()
        result = await asyncio.wait_for(call, 60)
        assert time.monotonic() - began < 20
        readiness = await mortal.operations("readyz")
    assert readiness.status_code == 503
    assert not result.is_error
    assert result.structured_content is not None
    assert "server restarting; call again." in result.content[0].text  # type: ignore[union-attr]
    assert await mortal.stopped() == 0, mortal.log()
    assert "ERROR" not in mortal.log()
    async with agent(replica.url, alice, era) as session:
        status = await session.call("check_task_status", task_id=result.structured_content["task_id"])
        assert status.envelope["status"] == "started"


async def test_every_line_of_the_log_is_json_until_the_end(mortal: Replica, alice: str) -> None:
    async with agent(mortal.url, alice) as session:
        await session.call("list_tasks")
    mortal.terminate()
    assert await mortal.stopped() == 0
    lines = mortal.log().splitlines()
    assert [json.loads(line)["message"] for line in lines][-1] == "stopped"


async def test_a_start_is_finished_although_its_caller_has_gone(
    world: World, kubeconfig: Path, line: Line, alice: str, new_key: Callable[[], str], tmp_path: Path
) -> None:
    key = new_key()
    headers, body = raw_start("auto", key)
    headers["Authorization"] = f"Bearer {alice}"
    async with running(line.kubeconfig(kubeconfig, tmp_path), world.namespace, tmp_path) as mortal:
        async with agent(mortal.url, alice) as session:
            assert "model_training" in await session.tool_names()
        line.hold()
        async with httpx2.AsyncClient(trust_env=False, timeout=1) as hasty:
            with pytest.raises(httpx2.ReadTimeout):
                await hasty.post(mortal.url, headers=headers, json=body)
        assert await mortal.metric("longtask_mcp_starts_in_flight") == 1
        mortal.terminate()
        await eventually(mortal.closed, "its connections closed")
        assert await world.tasks(key) == []
        line.release()
        assert await mortal.stopped() == 0, mortal.log()
    assert len(await world.tasks(key)) == 1


async def test_an_idle_server_stops_with_code_0_long_before_its_timeout(mortal: Replica) -> None:
    began = time.monotonic()
    mortal.terminate()
    assert await mortal.stopped() == 0, mortal.log()
    assert time.monotonic() - began < 10, mortal.log()
    assert '"message": "stopped"' in mortal.log()
