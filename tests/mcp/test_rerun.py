"""Agents run an ended task again: the same work, or with other parameters, from the beginning or a checkpoint."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from longtask_api.longtask import RerunOf
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.idempotency import Relation, Start
from tests.mcp.given_task_api import given_task_api
from tests.mcp.objects import NOW, ago, task, uid
from tests.mcp.replica import ERAS, Agent, Replica, Reply, agent, running
from tests.mcp.world import World, eventually

Agents = Callable[..., AbstractAsyncContextManager[Agent]]
GIVEN = {"model_name": "m", "epochs": 3}
CHECKPOINT = {"attempt": 2, "sequence": 9, "text": "{}", "savedTime": ago(minutes=5)}
FAILED: dict[str, Any] = {
    "phase": "Failed",
    "completionTime": ago(minutes=1),
    "failure": {"reason": "Error", "message": "the disk was full"},
}
EARLIER = {"name": "model-training-7x2k9", "uid": uid(1)}


async def ended(session: Agent, world: World, key: str, **status: Any) -> Reply:
    """A task of the session that has failed; the answer of its start."""
    started = await session.call("model_training", **GIVEN, idempotency_key=key)
    await world.set_status(started.task_id, **FAILED | status)

    async def is_told() -> bool:
        told = await session.call("check_task_status", task_id=started.task_id)
        return bool(told.envelope["status"] == "failed")

    await eventually(is_told, "the task has failed")
    return started


@pytest.mark.parametrize("era", ERAS)
async def test_it_is_a_new_task_with_the_same_parameters(
    as_alice: Agents, world: World, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        earlier = await ended(session, world, new_key())
        again = await session.call("rerun_task", task_id=earlier.task_id)
        told = await session.call("check_task_status", task_id=again.task_id)
    assert not again.error
    assert again.task_id != earlier.task_id
    assert f"It runs task {earlier.task_id} again." in again.text
    made = await world.task(again.task_id)
    assert made.spec.parameters == GIVEN
    assert made.spec.template_ref.name == "model-training"
    assert made.spec.rerun_of == RerunOf(name=earlier.envelope["name"], uid=earlier.task_id)
    for each in (again, told):
        assert each.envelope["rerun_of"] == {"task_id": earlier.task_id, "from_checkpoint": False}
        assert f"It runs task {earlier.task_id} again." in each.text


async def test_parameters_that_are_given_replace_those_of_the_same_name(
    as_alice: Agents, world: World, new_key: Callable[[], str]
) -> None:
    async with as_alice() as session:
        earlier = await ended(session, world, new_key(), checkpoint=CHECKPOINT)
        again = await session.call(
            "rerun_task", task_id=earlier.task_id, parameters={"epochs": 7}, from_checkpoint=True
        )
        wrong = await session.call("rerun_task", task_id=earlier.task_id, parameters={"epochs": 0, "lr": 1})
    made = await world.task(again.task_id)
    assert made.spec.parameters == GIVEN | {"epochs": 7}
    assert made.spec.rerun_of is not None
    assert made.spec.rerun_of.from_checkpoint
    assert "It runs task" in again.text
    assert "from its last checkpoint" in again.text
    assert wrong.envelope["error_code"] == "invalid_parameters"
    assert "epochs" in wrong.text
    assert "lr" in wrong.text


async def test_the_same_call_gives_the_same_task(
    as_alice: Agents, replica: Replica, other_replica: Replica, alice: str, world: World, new_key: Callable[[], str]
) -> None:
    async with agent(replica.url, alice) as here, agent(other_replica.url, alice) as there:
        earlier, key = await ended(here, world, new_key(), checkpoint=CHECKPOINT), new_key()
        same = [each.call("rerun_task", task_id=earlier.task_id) for each in [here, there] * 5]
        keyed = [each.call("rerun_task", task_id=earlier.task_id, idempotency_key=key) for each in [here, there] * 5]
        replies, under_key = await asyncio.gather(*same), await asyncio.gather(*keyed)
        resumed = await here.call("rerun_task", task_id=earlier.task_id, from_checkpoint=True)
        conflict = await here.call("rerun_task", task_id=earlier.task_id, from_checkpoint=True, idempotency_key=key)
        start = await here.call("model_training", **GIVEN, idempotency_key=key)
    assert [each.text for each in (*replies, *under_key) if each.error] == []
    made = [{each.task_id for each in those} for those in (replies, under_key, [resumed], [earlier])]
    assert [len(each) for each in made] == [1, 1, 1, 1]
    assert len(set.union(*made)) == 4
    assert len([each for each in replies if "has been initiated" in each.text]) == 1
    for each in (conflict, start):
        assert each.envelope["error_code"] == "idempotency_key_used"
    assert f"a rerun of {earlier.task_id} from its checkpoint" in conflict.text


async def test_what_cannot_be_run_again_is_refused_at_the_call(
    as_alice: Agents, replica: Replica, bob: str, world: World, new_key: Callable[[], str]
) -> None:
    async with as_alice() as session, agent(replica.url, bob) as stranger:
        going = await session.call("model_training", **GIVEN, idempotency_key=new_key())
        not_ended = await session.call("rerun_task", task_id=going.task_id)
        earlier = await ended(session, world, new_key())
        bare = await session.call("rerun_task", task_id=earlier.task_id, from_checkpoint=True)
        others = await stranger.call("rerun_task", task_id=earlier.task_id)
        unknown = await session.call("rerun_task", task_id=uid(99))
        before = {each.metadata.uid for each in await world.tasks() if each.spec.rerun_of is not None}
    codes = {each.envelope["error_code"]: each.text for each in (not_ended, bare, others, unknown)}
    assert list(codes) == ["task_not_ended", "no_checkpoint", "task_not_found"]
    assert "cancel_task" in codes["task_not_ended"]
    assert "Without from_checkpoint" in codes["no_checkpoint"]
    assert not before & {going.task_id, earlier.task_id}


async def test_a_task_that_is_only_archived_is_run_again_from_the_beginning(
    world: World, kubeconfig: Path, alice: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("secret")
    principal = f"system:serviceaccount:{world.namespace}:alice"
    record = task(
        {"requester": {"principal": principal}, "parameters": GIVEN}, FAILED | {"checkpoint": CHECKPOINT}, uid=uid(7)
    )
    async with given_task_api() as operator:
        operator.archived = [record.to_api()]
        where = {"task_api_url": operator.url, "task_api_token_file": str(tmp_path / "token")}
        async with (
            running(kubeconfig, world.namespace, tmp_path, **where) as replica,
            agent(replica.url, alice) as session,
        ):
            again = await session.call("rerun_task", task_id=uid(7))
            resumed = await session.call("rerun_task", task_id=uid(7), from_checkpoint=True)
    assert not again.error, again.text
    assert (await world.task(again.task_id)).spec.parameters == GIVEN
    assert resumed.envelope["error_code"] == "no_checkpoint"
    assert "archive, which keeps no checkpoints" in resumed.text


ALICE = Caller("alice")


async def test_the_same_call_gives_the_same_task_although_the_earlier_one_has_left(
    as_alice: Agents, world: World, new_key: Callable[[], str]
) -> None:
    key = new_key()
    async with as_alice() as session:
        earlier = await ended(session, world, new_key())
        call = {"task_id": earlier.task_id, "parameters": {"epochs": 4}, "idempotency_key": key}
        first = await session.call("rerun_task", **call)
        await world.delete(f"{world.tasks_path}/{earlier.envelope['name']}")

        async def is_gone() -> bool:
            return (await session.call("check_task_status", task_id=earlier.task_id)).error

        await eventually(is_gone, "the earlier task is gone")
        again = await session.call("rerun_task", **call)
        other = await session.call("rerun_task", **call | {"parameters": {"epochs": 5}})
        unknown = await session.call("rerun_task", **call | {"idempotency_key": new_key()})
    assert (again.error, again.task_id) == (False, first.task_id)
    assert other.envelope["error_code"] == "idempotency_key_used"
    assert unknown.envelope["error_code"] == "task_not_found"


@pytest.mark.parametrize(
    ("key", "rerun_of", "relation"),
    [
        (None, EARLIER, Relation.SAME),
        (None, None, Relation.UNRELATED),
        (None, EARLIER | {"uid": uid(2)}, Relation.UNRELATED),
        (None, EARLIER | {"fromCheckpoint": True}, Relation.UNRELATED),
        ("nightly", EARLIER, Relation.SAME),
        ("nightly", None, Relation.CONFLICT),
        ("nightly", EARLIER | {"fromCheckpoint": True}, Relation.CONFLICT),
    ],
)
def test_a_start_is_a_duplicate_only_if_it_reruns_the_same(
    key: str | None, rerun_of: dict[str, Any] | None, relation: Relation
) -> None:
    spec = ({"idempotencyKey": key} if key else {}) | ({"rerunOf": rerun_of} if rerun_of else {})
    known = task(spec, creationTimestamp=ago(seconds=5))
    start = Start(ALICE, "model-training", {"epochs": 10}, key, rerun_of=RerunOf.model_validate(EARLIER))
    assert start.relation(known, NOW) is relation


def test_a_rerun_without_a_key_has_names_of_its_own() -> None:
    plain = Start(ALICE, "model-training", {}, None)
    names = {plain.task_name(0)} | {
        Start(ALICE, "model-training", {}, None, rerun_of=RerunOf(name="x", uid=u, from_checkpoint=c)).task_name(0)
        for u in ("1", "2")
        for c in (False, True)
    }
    assert len(names) == 5
