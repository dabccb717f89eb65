"""When the API server is out of reach, callers are told, and nothing is lost or done twice."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx2
import pytest

from longtask_api import constants
from tests.faults.proxy import open_door
from tests.mcp.line import Line
from tests.mcp.replica import Agent, agent, running
from tests.mcp.world import World, eventually
from tests.ports import free_port


async def test_an_outage_of_the_api_server_is_told_and_survived(
    world: World, kubeconfig: Path, line: Line, alice: str, new_key: Callable[[], str], tmp_path: Path
) -> None:
    async with (
        running(line.kubeconfig(kubeconfig, tmp_path), world.namespace, tmp_path) as replica,
        agent(replica.url, alice) as session,
    ):
        key = new_key()
        task_id = (await session.call("model_training", model_name="digits", idempotency_key=key)).task_id
        line.cut()
        assert not (await session.call("check_task_status", task_id=task_id)).error
        refused = await session.call("model_training", model_name="digits", idempotency_key=new_key())
        assert refused.error
        assert refused.text.startswith("The Kubernetes API does not answer now")
        assert "Make the same call again in a few seconds" in refused.text
        unseen = await world.make_task("made-in-the-outage")
        line.mend()

        await eventually(lambda: _followed(world, session, task_id), "changes after the outage")
        again = await session.call("model_training", model_name="digits", idempotency_key=key)
        assert again.task_id == task_id
        counts = {await replica.metric("longtask_mcp_cached_tasks"), len(await world.tasks())}
    assert len(counts) == 1
    assert unseen in {task.metadata.uid for task in await world.tasks()}


async def test_a_connection_that_dies_under_a_start_does_not_fail_it(
    world: World, kubeconfig: Path, line: Line, alice: str, new_key: Callable[[], str], tmp_path: Path
) -> None:
    async with (
        running(line.kubeconfig(kubeconfig, tmp_path), world.namespace, tmp_path) as replica,
        agent(replica.url, alice) as session,
    ):
        key = new_key()
        line.drop_next_request = True
        reply = await session.call("model_training", model_name="digits", idempotency_key=key)
        assert not line.drop_next_request
    assert not reply.error
    assert [task.metadata.uid for task in await world.tasks(key)] == [reply.task_id]


async def _followed(world: World, session: Agent, task_id: str) -> bool:
    await world.set_status(task_id, message="seen after the outage")
    return "seen after the outage" in (await session.call("check_task_status", task_id=task_id)).text


@pytest.mark.cluster
async def test_a_server_that_has_not_listed_yet_says_so_instead_of_that_there_is_nothing(
    world: World, alice: str, tmp_path: Path
) -> None:
    listed = asyncio.Event()

    async def hold() -> None:
        await listed.wait()

    port = free_port()
    headers = {"Authorization": f"Bearer {alice}", "Accept": "application/json, text/event-stream"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_tasks", "arguments": {}}}
    async with (
        open_door() as door,
        AsyncExitStack() as stack,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as http,
    ):
        door.trap("GET", rf"/{constants.TASK_PLURAL}\?", "before", hold)
        server = running(Path(door.kubeconfig(tmp_path / "kubeconfig")), world.namespace, tmp_path, port=str(port))
        starting = asyncio.create_task(stack.enter_async_context(server))

        async def answer() -> httpx2.Response | None:
            with suppress(httpx2.TransportError):
                return await http.post("/mcp", json=call)
            return None

        early = await eventually(answer, "an answer of the server")
        assert early is not None
        told = early.json()["result"]
        assert told["isError"]
        assert "has not read yet which tasks and templates there are; nothing was done" in told["content"][0]["text"]
        current = await http.post("/mcp", json=call, headers={"Mcp-Method": "tools/call", "Mcp-Name": "list_tasks"})
        assert (current.status_code, current.headers["Retry-After"]) == (503, early.headers["Retry-After"])
        listed.set()
        async with agent((await starting).url, alice) as session:
            assert not (await session.call("list_tasks")).error
