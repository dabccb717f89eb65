"""When the API server is out of reach, callers are told, and nothing is lost or done twice."""

from collections.abc import Callable
from pathlib import Path

from tests.mcp.line import Line
from tests.mcp.replica import Agent, agent, running
from tests.mcp.world import World, eventually


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
