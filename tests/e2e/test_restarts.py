"""Every process of LongTask goes away in mid-task; the task does not notice, and its result is there."""

import asyncio
from collections.abc import Callable

import pytest
from mcp import MCPError

from tests.e2e.conftest import Session
from tests.e2e.following import Wait, asleep, ended, in_phase, when_told
from tests.e2e.installation import SYSTEM, Installation
from tests.e2e.programs import kubectl
from tests.mcp.replica import ERAS, Reply
from tests.patience import PATIENCE


async def test_operators_that_vanish_in_mid_task_lose_nothing_and_run_nothing_twice(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    before = await installation.all_ready("operator")
    async with as_alice() as agent:
        running = await agent.call("e2e_python", code=when_told("first"), idempotency_key=new_key())
        await in_phase(agent, running.task_id, "Running")
        (await kubectl("delete", "pod", "-n", SYSTEM, *before, "--grace-period=0", "--force")).done()
        without = await agent.call("e2e_python", code=asleep(0, "second"), idempotency_key=new_key())
        assert not without.error, without.text
        await installation.go(running.task_id)
        replies = [await ended(agent, task.task_id) for task in (running, without)]
    assert [reply.envelope["result"] for reply in replies] == ["first", "second"]
    assert [reply.envelope["attempts"] for reply in replies] == [1, 1]
    assert [await installation.ran_once(task.task_id) for task in (running, without)] == [True, True]
    assert not set(before) & set(await installation.all_ready("operator"))


async def test_servers_that_restart_under_a_wait_answer_it_and_a_new_session_reads_the_result(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    stopped, killed = before = await installation.all_ready("mcp")
    async with as_alice(pod=stopped) as agent:
        task = await agent.call("e2e_python", code=when_told("still here"), idempotency_key=new_key())
        await in_phase(agent, task.task_id, "Running")
    ways = [(stopped, "auto"), (stopped, "legacy"), (killed, "auto")]
    waits = [Wait() for _ in ways]
    calls = [
        asyncio.create_task(waited(as_alice, wait, task.task_id, pod=pod, era=era))
        for wait, (pod, era) in zip(waits, ways, strict=True)
    ]
    await asyncio.wait_for(asyncio.gather(*(wait.first.wait() for wait in waits)), PATIENCE)
    (await kubectl("delete", "pod", "-n", SYSTEM, stopped, "--wait=false")).done()
    (await kubectl("delete", "pod", "-n", SYSTEM, killed, "--grace-period=0", "--force")).done()
    *answers, last = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE)
    for answer in answers:
        assert isinstance(answer, Reply), answer
        assert answer.text.startswith("server restarting; call again. The task is not affected: ")
    assert isinstance(last, MCPError) or "server restarting; call again" in last.text, last
    assert not set(before) & set(await installation.all_ready("mcp"))
    async with as_alice() as agent:
        listed = await agent.call("list_tasks")
        await installation.go(task.task_id)
        reply = await ended(agent, task.task_id)
    assert task.task_id in listed.text
    assert reply.envelope["result"] == "still here"
    assert await installation.ran_once(task.task_id)


@pytest.mark.parametrize("era", ERAS)
async def test_a_connection_that_breaks_under_a_wait_is_a_clean_error_and_the_task_goes_on(
    installation: Installation, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    [pod, _] = await installation.all_ready("mcp")
    async with as_alice(pod=pod) as agent:
        task = await agent.call("e2e_python", code=when_told("unimpressed"), idempotency_key=new_key())
    wait = Wait()
    call = asyncio.create_task(waited(as_alice, wait, task.task_id, pod=pod, era=era))
    await asyncio.wait_for(wait.first.wait(), PATIENCE)
    await installation.tunnels.cut(f"pod/{pod}")
    outcome = await asyncio.wait_for(call, PATIENCE)
    assert isinstance(outcome, MCPError)
    await installation.go(task.task_id)
    async with as_alice(pod=pod, era=era) as agent:
        reply = await ended(agent, task.task_id)
    assert reply.envelope["result"] == "unimpressed"
    assert await installation.ran_once(task.task_id)


async def waited(as_alice: Session, wait: Wait, task_id: str, **how: str) -> Reply | MCPError:
    """What a wait answered, or the error that the client gave."""
    async with as_alice(**how) as agent:
        try:
            return await wait.call(agent, task_id)
        except MCPError as error:
            return error
