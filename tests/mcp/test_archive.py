"""Tasks whose objects are gone: their records answer, with the same words, for the same caller only."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from longtask_mcp import archive as archive_module
from longtask_mcp.archive import MAX_PAGES, NOT_CONNECTED, Archive
from longtask_mcp.contract import answers, results
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.errors import ArchiveUnavailable, BadArguments
from longtask_mcp.contract.paging import PAGE_BYTES
from longtask_mcp.task_api import TaskApi
from tests.mcp.given_task_api import GivenTaskApi, given_task_api
from tests.mcp.objects import NOW, ago, task, uid
from tests.mcp.replica import ERAS, Replica, agent, running
from tests.mcp.tasks_client import tasks_client
from tests.mcp.world import World, eventually
from tests.ports import free_port

ACTOR = {"X-LongTask-Actor-Id": "user-1"}
MEMORY = "team-0123456789"
LARGE = json.dumps({"text": "größer €😀 " * 4000}, ensure_ascii=False).encode()
TABLE = b"a,b\n1,2\n"
ENDED = {"startTime": ago(days=40, minutes=12), "completionTime": ago(days=40), "attemptCount": 1}
SUCCEEDED: dict[str, Any] = {"phase": "Succeeded", **ENDED, "result": {"value": {"score": 1}, "summary": "score 1"}}
FAILED: dict[str, Any] = {
    "phase": "Failed",
    **ENDED,
    "failure": {"reason": "OOMKilled", "message": "too much", "logTail": "epoch 7\nKilled\n", "hint": "take less"},
}
REFERENCED: dict[str, Any] = {
    "phase": "Succeeded",
    **ENDED,
    "result": {
        "reference": {"uri": "s3://bucket/r", "size": len(LARGE), "sha256": sha256(LARGE).hexdigest()},
        "mediaType": "application/json",
        "artifacts": [
            {"name": "t.csv", "uri": "s3://bucket/t", "size": len(TABLE), "sha256": sha256(TABLE).hexdigest()}
        ],
    },
}
DELIVERED = {"type": "Delivered", "reason": "Delivered", "message": "x", "lastTransitionTime": ago(days=40)}
eras = pytest.mark.parametrize("era", ERAS)


def record(number: int, principal: str, status: dict[str, Any], actor_id: str | None = None, **spec: Any) -> Any:
    """A record as the operator gives it; the higher the number, the newer."""
    requester = {"principal": principal} | ({"actorId": actor_id} if actor_id else {})
    created = ago(days=41, seconds=-number)
    made = task(
        {"requester": requester, **spec}, status, uid=uid(number), name=f"t-{number}", creationTimestamp=created
    )
    return made.to_api()


@pytest.fixture(scope="module")
async def one_operator() -> AsyncIterator[GivenTaskApi]:
    async with given_task_api() as operator:
        yield operator


@pytest.fixture
def operator(one_operator: GivenTaskApi) -> GivenTaskApi:
    """It has nothing yet, and was asked nothing."""
    vars(one_operator).update(vars(GivenTaskApi(one_operator.url)))
    return one_operator


@pytest.fixture
async def archive(operator: GivenTaskApi, tmp_path: Path) -> AsyncIterator[Archive]:
    (tmp_path / "token").write_text("secret")
    async with TaskApi(operator.url, tmp_path / "token") as api:
        yield Archive(api)


def anything(_: object) -> bool:
    return True


async def test_a_record_is_asked_for_with_the_caller_and_its_memory(archive: Archive, operator: GivenTaskApi) -> None:
    operator.archived = [record(1, "alice", SUCCEEDED, "user-1")]
    memory = task({"memory": {"memoryId": MEMORY, "actorId": "user-1", "sessionId": "s"}}).spec.memory
    found = await archive.find(Caller("alice", "user-1", "s", memory), uid(1))
    assert found is not None
    assert found.metadata.uid == uid(1)
    query = {"principal": "alice", "actor_id": "user-1", "memory_id": MEMORY}
    assert operator.asked == [(f"/v1/archive/{uid(1)}", query)]
    assert await archive.find(Caller("alice"), uid(1)) is None
    assert operator.asked[1] == (f"/v1/archive/{uid(1)}", {"principal": "alice"})


@pytest.mark.parametrize(
    "given",
    [
        record(1, "bob", SUCCEEDED),
        record(1, "alice", SUCCEEDED, "user-1"),
        record(2, "alice", SUCCEEDED),
        record(1, "alice", SUCCEEDED) | {"spec": {"templateRef": {"name": "x"}}},
    ],
)
async def test_a_record_that_is_not_the_callers_is_not_shown_even_if_it_is_sent(
    archive: Archive, operator: GivenTaskApi, given: Any
) -> None:
    operator.archive_instead = JSONResponse({"task": given, "archive": {"uri": "x", "archivedTime": ago(days=1)}})
    assert await archive.find(Caller("alice"), uid(1)) is None
    if given["metadata"]["uid"] == uid(1):
        operator.archive_instead = JSONResponse({"tasks": [given], "cursor": None})
        assert (await archive.listed(Caller("alice"), anything, 20, "")).tasks == []


@pytest.mark.parametrize(
    ("instead", "told"),
    [
        (JSONResponse({"detail": "AgentCore Memory does not answer."}, 503), "AgentCore Memory does not answer"),
        (JSONResponse({"detail": "memory x is not listed"}, 403), "memory x is not listed"),
        (JSONResponse({"task": {}}), "the operator's answer is not readable"),
        (JSONResponse({"detail": "odd"}, 422), "odd"),
    ],
)
async def test_an_archive_that_does_not_answer_is_not_taken_for_a_task_that_is_not_there(
    archive: Archive, operator: GivenTaskApi, instead: JSONResponse, told: str
) -> None:
    operator.archive_instead = instead
    with pytest.raises(ArchiveUnavailable) as caught:
        await archive.find(Caller("alice"), uid(1))
    assert str(caught.value) == (
        f"The task is not in the cluster (any more), and the archive of ended tasks cannot be asked now: {told}. "
        "Nothing is lost. Make the same call again in 30 seconds."
    )


async def test_guessing_ids_asks_for_one_at_a_time(archive: Archive, operator: GivenTaskApi) -> None:
    found = await asyncio.gather(*(archive.find(Caller("alice"), uid(number)) for number in range(20)))
    assert set(found) == {None}
    assert operator.asked_at_once == 1
    await asyncio.gather(*(archive.find(Caller("alice", f"user-{number}"), uid(1)) for number in range(20)))
    assert operator.asked_at_once > 1
    assert len(archive._turns) == 0


async def test_whoever_waits_too_long_is_told(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "READ_SECONDS", 0.05)
    lock = archive._turns.setdefault(Caller("alice").owner, asyncio.Lock())
    async with lock:
        with pytest.raises(ArchiveUnavailable, match=r"it did not answer within 0\.05 seconds"):
            await archive.find(Caller("alice"), uid(1))


async def test_a_page_is_filled_from_those_of_the_archive(archive: Archive, operator: GivenTaskApi) -> None:
    operator.archived = [record(number, "alice", SUCCEEDED if number % 3 else FAILED) for number in range(1, 31)]
    page = await archive.listed(Caller("alice"), lambda task: task.status.phase == "Failed", 4, "")
    assert [each.metadata.uid for each in page.tasks] == [uid(number) for number in (30, 27, 24, 21)]
    assert len(operator.asked) <= MAX_PAGES
    assert page.cursor is not None
    rest = await archive.listed(Caller("alice"), lambda task: task.status.phase == "Failed", 20, page.cursor)
    assert [each.metadata.uid for each in rest.tasks] == [uid(number) for number in (18, 15, 12, 9, 6, 3)]
    assert rest.cursor is None


async def test_an_archive_of_what_does_not_fit_is_not_read_to_its_end(archive: Archive, operator: GivenTaskApi) -> None:
    operator.archived = [record(number, "alice", SUCCEEDED) for number in range(1, 100)]
    page = await archive.listed(Caller("alice"), lambda _: False, 2, "")
    assert page.tasks == []
    assert len(operator.asked) == MAX_PAGES
    last = 100 - 2 * MAX_PAGES
    assert page.cursor == f"{last - 1}.{uid(last)}"


async def test_a_cursor_that_the_archive_does_not_know_is_an_error(archive: Archive, operator: GivenTaskApi) -> None:
    operator.archive_instead = JSONResponse({"detail": "query.cursor: String should match"}, 422)
    with pytest.raises(BadArguments, match="cursor: not one that list_tasks gave"):
        await archive.listed(Caller("alice"), anything, 20, "rubbish")


async def test_a_list_that_breaks_off_says_why_and_where_to_go_on(archive: Archive, operator: GivenTaskApi) -> None:
    operator.archive_instead = JSONResponse({"detail": "S3 does not answer"}, 503)
    page = await archive.listed(Caller("alice"), anything, 20, "20")
    assert (page.tasks, page.cursor, page.problem) == ([], "20", "S3 does not answer")


@pytest.mark.parametrize(("status", "kept"), [("True", True), ("False", False), ("Unknown", False), (None, False)])
async def test_only_a_delivery_that_succeeded_is_told_of_a_record(
    archive: Archive, operator: GivenTaskApi, status: str | None, kept: bool
) -> None:
    conditions = [DELIVERED | {"status": status}] if status else []
    memory = {"memoryId": MEMORY, "actorId": "user-1", "sessionId": "conv-1"}
    operator.archived = [record(1, "alice", SUCCEEDED | {"conditions": conditions}, memory=memory)]
    found = await archive.find(Caller("alice"), uid(1))
    assert found is not None
    assert ("Also written to memory session conv-1." in answers.status(found, NOW).text) is kept
    assert ("memory" in answers.status(found, NOW).text) is kept


@pytest.fixture(scope="module")
async def connected(
    world: World, kubeconfig: Path, one_operator: GivenTaskApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replica]:
    """A replica with the operator's task API, that trusts alice."""
    folder = tmp_path_factory.mktemp("connected")
    (folder / "token").write_text("secret")
    settings = {
        "task_api_url": one_operator.url,
        "task_api_token_file": str(folder / "token"),
        "trusted_principals": json.dumps([f"system:serviceaccount:{world.namespace}:alice"]),
    }
    async with running(kubeconfig, world.namespace, folder, **settings) as process:
        yield process


@pytest.fixture
def principal(world: World) -> str:
    return f"system:serviceaccount:{world.namespace}:alice"


@eras
async def test_every_tool_answers_for_an_archived_task_as_it_did_for_the_object(
    connected: Replica, operator: GivenTaskApi, alice: str, principal: str, era: str
) -> None:
    operator.archived = [record(1, principal, SUCCEEDED, "user-1"), record(2, principal, FAILED, "user-1")]
    done, failed = (task(each["spec"], each["status"], **each["metadata"]) for each in operator.archived)
    async with agent(connected.url, alice, era, ACTOR) as session:
        status = await session.call("check_task_status", task_id=uid(1))
        assert status.text == answers.FROM_RECORD + answers.status(done, NOW).text
        assert status.envelope["status"] == "completed"
        result = await session.call("get_task_results", task_id=uid(1))
        assert result.text == answers.FROM_RECORD + results.results(done, NOW).text
        assert result.envelope["result"] == {"score": 1}
        waited = await session.call("wait_for_task", task_id=uid(1))
        assert waited.text == result.text
        cancelled = await session.call("cancel_task", task_id=uid(2))
        assert cancelled.text == answers.FROM_RECORD + answers.already_ended(failed, NOW).text
        log = await session.call("get_task_logs", task_id=uid(2))
        assert log.text == (
            f"{answers.FROM_RECORD}The end of the log, as kept in the task's record (the task is not in the cluster "
            "any more):\n"
            "epoch 7\nKilled\n"
        )
        told = [status, result, waited, cancelled, log]
        assert [reply.error for reply in told] == [False] * 5
        assert all(reply.envelope["archived"] is True for reply in told)
        late = await session.call("answer_task", task_id=uid(1), answer=True)
        assert late.error
        assert late.text.startswith("The task has ended (completed), so no answer is taken.")


@pytest.mark.parametrize("headers", [None, {"X-LongTask-Actor-Id": "user-2"}])
async def test_another_actor_finds_nothing_in_the_archive(
    connected: Replica, operator: GivenTaskApi, alice: str, principal: str, headers: dict[str, str] | None
) -> None:
    operator.archived = [record(1, principal, SUCCEEDED, "user-1")]
    async with agent(connected.url, alice, headers=headers) as session:
        replies = [
            await session.call(tool, task_id=uid(1))
            for tool in ("check_task_status", "get_task_results", "wait_for_task", "get_task_logs", "cancel_task")
        ]
        listed = await session.call("list_tasks", include_archived=True, limit=100)
    assert {reply.text.partition(". ")[0] for reply in replies} == {f"task not found: {uid(1)}"}
    assert uid(1) not in listed.text
    whose = {"principal": principal} | ({"actor_id": "user-2"} if headers else {})
    assert all(query | whose == query and ("actor_id" in query) is bool(headers) for _, query in operator.asked)


@eras
async def test_a_stored_result_of_an_archived_task_is_read_part_by_part(
    connected: Replica, operator: GivenTaskApi, alice: str, principal: str, era: str
) -> None:
    operator.archived = [record(1, principal, REFERENCED, "user-1")]
    path = f"/v1/archive/{uid(1)}"
    operator.contents = {f"{path}/result": LARGE, f"{path}/artifacts/t.csv": TABLE}
    pages = -(-len(LARGE) // PAGE_BYTES)
    async with agent(connected.url, alice, era, ACTOR) as session:
        replies = [await session.call("get_task_results", task_id=uid(1), page=page + 1) for page in range(pages)]
        table = await session.call("get_task_results", task_id=uid(1), artifact="t.csv")
        del operator.contents[f"{path}/result"]
        lost = await session.call("get_task_results", task_id=uid(1))
    assert "".join(reply.envelope["result"] for reply in replies).encode() == LARGE
    assert all(reply.envelope["archived"] for reply in [*replies, table, lost])
    assert table.envelope["text"].encode() == TABLE
    assert "of this caller has a stored result." in lost.text
    query = {"principal": principal, "actor_id": "user-1"}
    assert {tuple(each[1].items()) for each in operator.asked} == {tuple(query.items())}


async def test_what_is_known_to_be_archived_is_not_looked_for_in_the_cluster_again(
    connected: Replica, operator: GivenTaskApi, alice: str, principal: str
) -> None:
    """Else every page of a result would cost a list of the caller's tasks, of which there is one a second."""
    operator.archived = [record(77, principal, SUCCEEDED, "user-1")]
    async with agent(connected.url, alice, headers=ACTOR) as session:
        await session.call("check_task_status", task_id=uid(77))
        async with asyncio.timeout(4):
            replies = [await session.call("check_task_status", task_id=uid(77)) for _ in range(5)]
    assert all(reply.envelope["archived"] for reply in replies)


async def test_an_archive_that_is_away_is_an_error_that_says_to_call_again(
    connected: Replica, operator: GivenTaskApi, alice: str
) -> None:
    operator.archive_instead = JSONResponse({"detail": "S3 does not answer"}, 503, {"Retry-After": "5"})
    async with agent(connected.url, alice) as session:
        reply = await session.call("check_task_status", task_id=uid(1))
        name = await session.call("check_task_status", task_id="model-training-x")
    assert reply.error
    assert "cannot be asked now: S3 does not answer. Nothing is lost." in reply.text
    assert "not found" not in reply.text
    assert name.text.startswith("task not found: model-training-x")


async def test_an_operator_that_is_away_is_told_too(world: World, kubeconfig: Path, alice: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    settings = {"task_api_url": f"http://127.0.0.1:{free_port()}", "task_api_token_file": str(tmp_path / "token")}
    async with (
        running(kubeconfig, world.namespace, tmp_path, **settings) as replica,
        agent(replica.url, alice) as session,
    ):
        reply = await session.call("get_task_results", task_id=uid(1))
        listed = await session.call("list_tasks", include_archived=True, limit=100)
    assert reply.error
    assert "the operator cannot be reached now (ConnectError)" in reply.text
    assert not listed.error
    assert listed.text.endswith(
        "Archived tasks cannot be listed now: the operator cannot be reached now (ConnectError).\n"
        "Archived ones: call list_tasks with include_archived=true, cursor='archived:' in 30 s."
    )
    assert listed.envelope["cursor"] == "archived:"


async def test_archived_tasks_follow_those_in_the_cluster_and_every_one_is_shown_once(
    world: World,
    connected: Replica,
    operator: GivenTaskApi,
    alice: str,
    principal: str,
    new_key: Callable[[], str],
) -> None:
    actor = f"lister-{new_key()}"
    async with agent(connected.url, alice, headers={"X-LongTask-Actor-Id": actor}) as session:
        live = [
            (await session.call("model_training", model_name="digits", idempotency_key=new_key())).task_id
            for _ in range(3)
        ]
        kept = (await world.task(live[0])).to_api()
        operator.archived = [record(number, principal, SUCCEEDED, actor) for number in range(1, 8)]
        operator.archived += [record(99, principal, SUCCEEDED, "user-2"), kept]
        seen: list[tuple[str, bool]] = []
        arguments: dict[str, Any] = {"include_archived": True, "limit": 3}
        rounds = 0
        while rounds == 0 or "cursor" in arguments:
            reply = await session.call("list_tasks", **arguments)
            assert len(reply.envelope["tasks"]) <= 3
            seen += [(each["task_id"], each.get("archived", False)) for each in reply.envelope["tasks"]]
            cursor = reply.envelope.get("cursor")
            arguments = {"include_archived": True, "limit": 3} | ({"cursor": cursor} if cursor else {})
            assert (f"cursor={cursor!r}" in reply.text) is (cursor is not None)
            rounds += 1
        without = await session.call("list_tasks")
    assert {each for each, archived in seen if not archived} == set(live)
    assert seen[3:] == [(uid(number), True) for number in range(7, 0, -1)]
    assert rounds <= 5
    assert {each["task_id"] for each in without.envelope["tasks"]} == set(live)


async def test_an_archived_task_is_told_on_a_line_of_its_own(
    connected: Replica, operator: GivenTaskApi, alice: str, principal: str
) -> None:
    operator.archived = [record(1, principal, SUCCEEDED, "user-9"), record(2, principal, FAILED, "user-9")]
    headers = {"X-LongTask-Actor-Id": "user-9"}
    async with agent(connected.url, alice, headers=headers) as session:
        reply = await session.call("list_tasks", include_archived=True)
        failed = await session.call("list_tasks", include_archived=True, status="failed")
        other = await session.call("list_tasks", include_archived=True, template="other")
    first, second = reply.text.splitlines()
    assert first.startswith(f"{uid(2)} model-training: failed in 12 min: OOMKilled; created ")
    assert second.startswith(f"{uid(1)} model-training: completed in 12 min; created ")
    assert first.endswith(" ago (archived)")
    assert [each["task_id"] for each in failed.envelope["tasks"]] == [uid(2)]
    assert other.text == "You have no tasks like that."


async def test_what_the_archive_does_not_show_is_said(connected: Replica, operator: GivenTaskApi, alice: str) -> None:
    operator.archive_instead = JSONResponse({"tasks": [], "cursor": None, "notes": ["12 older ones are on no page"]})
    async with agent(connected.url, alice, headers={"X-LongTask-Actor-Id": "noted"}) as session:
        reply = await session.call("list_tasks", include_archived=True)
    assert reply.text == "You have no tasks.\nArchived tasks: 12 older ones are on no page."
    assert reply.envelope["archive_notes"] == ["12 older ones are on no page"]


async def test_a_server_without_a_task_api_says_that_it_lists_none(replica: Replica, alice: str) -> None:
    async with agent(replica.url, alice) as session:
        reply = await session.call("list_tasks", include_archived=True, limit=100)
        unknown = await session.call("check_task_status", task_id=uid(1))
    assert reply.text.endswith(f"Archived tasks cannot be listed: {NOT_CONNECTED}.")
    assert "cursor" not in reply.envelope
    assert unknown.text.startswith(f"task not found: {uid(1)}.")


@eras
async def test_a_task_that_is_archived_and_deleted_while_it_is_waited_for_gives_its_result(
    world: World,
    connected: Replica,
    operator: GivenTaskApi,
    alice: str,
    principal: str,
    new_key: Callable[[], str],
    era: str,
) -> None:
    async with agent(connected.url, alice, era, ACTOR) as session:
        started = await session.call("model_training", model_name="digits", idempotency_key=new_key())
        kept = (await world.task(started.task_id)).to_api()
        operator.archived = [kept | {"status": SUCCEEDED}]
        waiting = asyncio.create_task(session.call("wait_for_task", task_id=started.task_id, timeout_seconds=30))

        async def waited_for() -> bool:
            return "started" in (await session.call("check_task_status", task_id=started.task_id)).text

        await eventually(waited_for, "the task")
        await world.delete(f"{world.tasks_path}/{kept['metadata']['name']}")
        reply = await waiting
        again = await session.call("cancel_task", task_id=started.task_id)
    assert reply.envelope["archived"] is True
    assert reply.envelope["result"] == {"score": 1}
    assert again.text.startswith(
        f"{answers.FROM_RECORD}Nothing to cancel, the task had already ended: completed in 12 min."
    )


@pytest.mark.parametrize("status", [SUCCEEDED, FAILED, REFERENCED], ids=["succeeded", "failed", "stored"])
async def test_an_archived_task_is_an_mcp_task_that_does_not_expire(
    connected: Replica, operator: GivenTaskApi, alice: str, principal: str, status: dict[str, Any]
) -> None:
    operator.archived = [record(1, principal, status, "user-1")]
    operator.contents = {f"/v1/archive/{uid(1)}/result": LARGE}
    async with agent(connected.url, alice, headers=ACTOR) as session, tasks_client(connected.url, alice) as client:
        plain = await session.call("get_task_results", task_id=uid(1))
        told = await client.request("tasks/get", {"taskId": uid(1)}, headers=ACTOR)
        acknowledged = await client.request("tasks/cancel", {"taskId": uid(1)}, headers=ACTOR)
    assert (told["status"], told["ttlMs"]) == ("completed", None)
    assert told["result"]["content"][0]["text"] == plain.text
    assert told["result"]["structuredContent"]["archived"]
    assert "status" not in acknowledged


async def test_a_stored_result_that_cannot_be_read_now_is_not_the_result_of_an_mcp_task(
    connected: Replica, operator: GivenTaskApi, alice: str, principal: str
) -> None:
    """A program would take the sentence that says so for the result."""
    operator.archived = [record(1, principal, REFERENCED, "user-1")]
    path = f"/v1/archive/{uid(1)}/result"
    operator.contents = {path: LARGE}
    operator.instead = JSONResponse({"detail": "the store does not answer"}, 503)
    async with tasks_client(connected.url, alice) as client:
        told = await client.request("tasks/get", {"taskId": uid(1)}, headers=ACTOR)
        operator.instead = None
        later = await client.request("tasks/get", {"taskId": uid(1)}, headers=ACTOR)
    assert (told["status"], later["status"]) == ("working", "completed")
    assert "result" not in told


async def test_news_of_chosen_tasks_include_those_that_are_archived(
    connected: Replica, operator: GivenTaskApi, alice: str, principal: str
) -> None:
    operator.archived = [record(1, principal, SUCCEEDED, "user-1"), record(2, principal, FAILED, "user-1")]
    async with agent(connected.url, alice, headers=ACTOR) as session:
        reply = await session.call("wait_any", task_ids=[uid(1), uid(2)])
        later = await session.call("wait_any", task_ids=[uid(1), uid(2)], cursor=reply.envelope["cursor"])
    assert {(each["task_id"], each["archived"]) for each in reply.envelope["news"]} == {(uid(1), True), (uid(2), True)}
    assert later.envelope["news"] == []
