"""A call goes on at another replica when its own is killed: the answer comes once, under the id of the call."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.server.request_state import AESGCMRequestStateCodec

from tests import node
from tests.limited import MEBIBYTE, chart_limit, memory
from tests.mcp.balancer import Balancer, Seen, balancing
from tests.mcp.replica import ROOT, Replica, agent, running
from tests.mcp.test_doors import sent
from tests.mcp.test_frameworks import CLIENT, FRAMEWORKS, PYTHON, loaded
from tests.mcp.world import NOW, World, eventually

WAITS = 300
"""Resumed at once. With a thousand, a collection of garbage takes half a second on a busy machine."""
STRANDS = ROOT / ".venv-strands" / "bin" / "python"
STRANDS_MODERN = ROOT / ".venv-strands-modern" / "bin" / "python"
ENDED: dict[str, Any] = {"startTime": NOW, "completionTime": NOW, "attemptCount": 1}
SUCCEEDED = {"phase": "Succeeded", "result": {"attempt": 1, "value": {"accuracy": 0.97}}, **ENDED}
QUESTION = {"id": "deploy", "message": "Deploy?", "createdTime": NOW}
LEGACY = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2025-11-25",
}


@pytest.fixture(scope="module")
def key() -> str:
    return secrets.token_hex(32)


@pytest.fixture(scope="module")
def keys(key: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the key that the replicas share."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"{key}\n")
    return path


@pytest.fixture(scope="module")
async def heir(world: World, kubeconfig: Path, keys: Path) -> AsyncIterator[Replica]:
    """The replica that is left."""
    async with running(kubeconfig, world.namespace, kubeconfig.parent, resume_keys_file=str(keys)) as process:
        yield process


@pytest.fixture
async def victim(world: World, kubeconfig: Path, keys: Path) -> AsyncIterator[Replica]:
    """The replica that is killed."""
    async with running(kubeconfig, world.namespace, kubeconfig.parent, resume_keys_file=str(keys)) as process:
        yield process


@dataclass
class Pair:
    """Two replicas behind a balancer that uses the victim while it lives."""

    balancer: Balancer
    victim: Replica
    world: World

    async def begun(self, calls: int = 1, ids: int = 1) -> list[Seen]:
        """The answers to so many calls, once they have as many event ids."""

        async def look() -> list[Seen]:
            seen = [each for each in self.balancer.seen if each.call is not None and len(each.ids) >= ids]
            return seen if len(seen) >= calls else []

        return await eventually(look, "the calls have begun")

    async def waiting(self, calls: int) -> None:
        """Return once so many calls are answered by a stream that goes on, those of all eras."""

        async def look() -> bool:
            return sum(each.call is not None and not each.responses for each in self.balancer.seen) >= calls

        await eventually(look, "the calls wait")

    async def kill(self) -> None:
        self.victim.process.kill()
        await self.victim.stopped()

    async def resumed(self, calls: int = 1) -> list[Seen]:
        """The answers to so many GETs, once their first events are there."""

        async def look() -> list[Seen]:
            seen = [each for each in self.balancer.seen if each.method == "GET" and each.ids]
            return seen if len(seen) >= calls else []

        return await eventually(look, "the calls are resumed")


@pytest.fixture
async def pair(world: World, victim: Replica, heir: Replica) -> AsyncIterator[Pair]:
    def ports() -> list[int]:
        return [victim.port if victim.process.poll() is None else heir.port]

    async with balancing(ports) as balancer:
        yield Pair(balancer, victim, world)


async def started(replica: Replica, token: str, key: str) -> str:
    async with agent(replica.url, token) as session:
        return (await session.call("model_training", model_name="digits", idempotency_key=key)).task_id


CLIENTS: dict[str, list[str | Path]] = {
    "mcp 1": [STRANDS, CLIENT, "sdk"],
    "Strands with mcp 1": [STRANDS, CLIENT, "strands"],
    **{each: [PYTHON, CLIENT, each] for each in FRAMEWORKS},
}


async def test_every_client_gets_its_answer_once(
    pair: Pair, heir: Replica, alice: str, new_key: Callable[[], str]
) -> None:
    """All of them wait at once for one task, and the replica that they all use is killed. Clients of 2026-07-28 have no
    resumption: their call fails at once, and their session goes on.
    """
    task_id = await started(heir, alice, new_key())
    url, source = pair.balancer.url, (Path(__file__).parent / "clients" / "typescript.mjs").read_text()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(agent(url, alice, "legacy"))
        current = await stack.enter_async_context(agent(url, alice, "auto"))
        strands = await stack.enter_async_context(loaded([STRANDS_MODERN, CLIENT, "strands"], url, alice))
        clients = {name: loaded(command, url, alice) for name, command in CLIENTS.items()}
        for version in ("1", "2"):
            command = ["node", "--input-type=module", "--eval", source, version]
            path = node.environment()["PATH"]
            clients[f"TypeScript {version}"] = loaded(command, url, alice, node.FOLDER, path)
        talking = {name: await stack.enter_async_context(each) for name, each in clients.items()}
        calls: dict[str, asyncio.Task[Any]] = {
            name: asyncio.create_task(each.call("wait_for_task", task_id=task_id)) for name, each in talking.items()
        }
        calls["mcp 2"] = asyncio.create_task(session.call("wait_for_task", task_id=task_id))
        broken = await pair.begun(len(calls))
        modern = {
            "mcp 2": asyncio.create_task(current.call("wait_for_task", task_id=task_id)),
            "Strands with mcp 2": asyncio.create_task(strands.call("wait_for_task", task_id=task_id)),
        }
        await pair.waiting(len(calls) + len(modern))
        await pair.kill()
        resumed = await pair.resumed(len(calls))
        assert [name for name, call in calls.items() if call.done()] == []
        lost = [str(each) for each in await asyncio.gather(*modern.values(), return_exceptions=True)]
        assert ["0.97" in each for each in lost] == [False, False]
        await pair.world.set_status(task_id, **SUCCEEDED)
        answers = {name: str(await call) for name, call in calls.items()}
        assert {name: answer for name, answer in answers.items() if "0.97" not in answer} == {}
        assert [each.responses for each in broken] == [[]] * len(calls)
        assert len(resumed) == len(calls)
        assert sorted(str(each.call) for each in broken) == sorted(
            str(response["id"]) for each in resumed for response in each.responses
        )
        for name, each in {**talking, "Strands with mcp 2": strands}.items():
            assert "completed" in await each.call("check_task_status", task_id=task_id), name
        for mcp_2 in (session, current):
            assert (await mcp_2.call("check_task_status", task_id=task_id)).envelope["status"] == "completed"


@dataclass
class Raw:
    """Requests of one caller to one replica, as they are on the wire."""

    http: httpx2.AsyncClient
    url: str
    headers: dict[str, str]

    @asynccontextmanager
    async def call(self, tool: str, /, **arguments: Any) -> AsyncIterator["Events"]:
        """The events of a call with the id 7, whose connection ends with the block."""
        params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}}
        body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
        async with self.http.stream("POST", self.url, headers=LEGACY | self.headers, json=body) as response:
            assert response.status_code == 200, await response.aread()
            yield Events(response.aiter_lines())

    async def id_of(self, tool: str, /, **arguments: Any) -> str:
        """The first event id of a call, which is dropped then."""
        async with self.call(tool, **arguments) as events:
            return (await events.next()).id

    @asynccontextmanager
    async def resume(self, id_: str) -> AsyncIterator["Events"]:
        given = {"Accept": "text/event-stream", "Last-Event-ID": id_, **self.headers}
        async with self.http.stream("GET", self.url, headers=given) as response:
            assert response.status_code == 200, await response.aread()
            yield Events(response.aiter_lines())

    async def answer(self, id_: str) -> dict[str, Any]:
        """The result of a resumed call, which has the id 7."""
        async with self.resume(id_) as events:
            return await events.result()

    async def refused(self, **headers: Any) -> httpx2.Response:
        """The response to a GET."""
        return await self.http.get(self.url, headers={"Accept": "text/event-stream"} | self.headers | headers)


@dataclass(frozen=True)
class Event:
    id: str
    retry: str
    data: Any


class Events:
    """The events of a stream, as an SDK reads them."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> Event:
        fields: dict[str, str] = {}
        async for line in self._lines:
            if not line and fields:
                return Event(fields.get("id", ""), fields.get("retry", ""), json.loads(fields["data"] or "null"))
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        raise AssertionError("the stream has ended")

    async def result(self) -> dict[str, Any]:
        while True:
            event = await self.next()
            if event.data is not None and "id" in event.data:
                assert event.data["id"] == 7
                result: dict[str, Any] = event.data["result"]
                return result


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def raw(http: httpx2.AsyncClient, heir: Replica, alice: str) -> Raw:
    """Alice at the replica that is left; a connection that she drops is one that broke."""
    return Raw(http, heir.url, {"Authorization": f"Bearer {alice}"})


@pytest.fixture
async def task_id(heir: Replica, alice: str, new_key: Callable[[], str]) -> str:
    """A task of alice's that has not ended."""
    return await started(heir, alice, f"resumption-{new_key()}")


def older(id_: str, key: str, seconds: float) -> str:
    """The same id, as it would be if the call had begun so much earlier."""
    codec = AESGCMRequestStateCodec([key])
    state = json.loads(codec.unseal(id_))
    return codec.seal(json.dumps({**state, "began": state["began"] - seconds}).encode())


async def test_an_id_without_data_comes_before_the_wait(raw: Raw, task_id: str) -> None:
    async with raw.call("wait_for_task", task_id=task_id) as events:
        first, second = await events.next(), await events.next()
    assert (first.data, first.retry) == (None, "2000")
    assert len(first.id) < 1000
    assert task_id not in first.id
    assert second.data["method"] == "notifications/progress"


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
async def test_clients_that_do_not_resume_get_no_id(raw: Raw, version: str) -> None:
    era = "modern" if version == "2026-07-28" else "legacy"
    headers, body = sent(era, raw.headers["Authorization"].removeprefix("Bearer "))
    response = await raw.http.post(raw.url, headers={**headers, "MCP-Protocol-Version": version}, content=body)
    assert response.status_code == 200
    assert "\nid:" not in f"\n{response.text}"


async def test_a_resumed_wait_is_as_long_as_the_first_one_would_have_been(raw: Raw, key: str, task_id: str) -> None:
    id_ = await raw.id_of("wait_for_task", task_id=task_id, timeout_seconds=50)
    any_ = await raw.id_of("wait_any", task_ids=[task_id], timeout_seconds=50)
    began = time.monotonic()
    answer, news = await asyncio.gather(*(raw.answer(older(each, key, 48)) for each in (id_, any_)))
    assert 1 < time.monotonic() - began < 30
    assert answer["structuredContent"]["status"] == "started"
    assert "wait_for_task again" in answer["content"][0]["text"]
    assert news["structuredContent"]["unfinished"] == 1


async def test_an_id_is_of_use_for_five_minutes(raw: Raw, key: str, task_id: str) -> None:
    id_ = await raw.id_of("wait_for_task", task_id=task_id, timeout_seconds=50)
    late = await raw.answer(older(id_, key, 290))
    assert late["structuredContent"]["status"] == "started"
    too_late = await raw.answer(older(id_, key, 301))
    assert too_late["isError"]
    assert too_late["structuredContent"]["error_code"] == "not_resumed"
    assert "Make the call again" in too_late["content"][0]["text"]


async def test_what_happens_in_between_is_not_missed(raw: Raw, world: World, task_id: str) -> None:
    """A question ends a wait if it comes, so a wait that is resumed ends if it has come."""
    async with raw.call("wait_any", task_ids=[task_id]) as any_, raw.call("wait_for_task", task_id=task_id) as one:
        ids = [(await each.next()).id for each in (any_, one)]
    await world.set_status(task_id, phase="WaitingForInput", attemptCount=1, startTime=NOW, inputRequests=[QUESTION])
    for answer in await asyncio.wait_for(asyncio.gather(*map(raw.answer, ids)), 30):
        assert "Deploy?" in answer["content"][0]["text"]


async def test_a_start_that_waits_is_resumed_with_its_task(
    raw: Raw, world: World, key: str, new_key: Callable[[], str]
) -> None:
    """However often, and even if its template has gone meanwhile; nothing is started again."""
    name, template = new_key(), f"passing-{new_key()}"
    await world.template(template)
    arguments = {"template": template, "idempotency_key": name, "wait_seconds": 50}
    async with raw.call("start_task", **arguments) as events:
        before, after = (await events.next()).id, (await events.next()).id
    [task] = await world.tasks(name)
    await world.delete(f"{world.templates_path}/{template}")
    late = await raw.answer(older(after, key, 301))
    assert f"Task {task.metadata.uid} was started" in late["content"][0]["text"]
    async with raw.resume(after) as one, raw.resume(after) as other:
        assert (await one.next()).id
        await world.set_status(task.metadata.uid, **SUCCEEDED)
        for answer in [await one.result(), await other.result(), await raw.answer(after)]:
            text = answer["content"][0]["text"]
            assert f"has been initiated with task ID: {task.metadata.uid}" in text
            assert "0.97" in text
    unknown = await raw.answer(before)
    assert unknown["isError"]
    assert "Make the same call again now" in unknown["content"][0]["text"]
    assert len(await world.tasks(name)) == 1


@pytest.mark.parametrize("tool", ["cancel_task", "suspend_task", "resume_task", "answer_task", "model_training"])
async def test_what_changes_something_is_not_done_again(raw: Raw, world: World, task_id: str, tool: str) -> None:
    answer = {"answer": True} if tool == "answer_task" else {}
    given = {"model_name": tool.replace("_", "-")} if tool == "model_training" else {"task_id": task_id, **answer}
    async with raw.call(tool, **given) as events:
        id_ = (await events.next()).id
        await events.result()
    before = [(task.metadata.uid, task.metadata.resource_version) for task in await world.tasks()]
    again = await raw.answer(id_)
    assert again["isError"]
    assert f"it is not known whether {tool} took effect" in again["content"][0]["text"]
    assert [(task.metadata.uid, task.metadata.resource_version) for task in await world.tasks()] == before


@pytest.mark.parametrize("tool", ["check_task_status", "get_task_results", "get_task_logs", "list_tasks"])
async def test_what_only_reads_is_done_again(raw: Raw, task_id: str, tool: str) -> None:
    given = {} if tool == "list_tasks" else {"task_id": task_id}
    async with raw.call(tool, **given) as events:
        id_, answer = (await events.next()).id, await events.result()
    again = await raw.answer(id_)
    assert again["structuredContent"].keys() == answer["structuredContent"].keys()
    assert not again["isError"]


async def test_the_first_stream_may_live_on(raw: Raw, world: World, task_id: str) -> None:
    async with raw.call("wait_for_task", task_id=task_id) as first:
        id_ = (await first.next()).id
        async with raw.resume(id_) as second:
            assert (await second.next()).id
            await world.set_status(task_id, **SUCCEEDED)
            assert "0.97" in str(await first.result())
            assert "0.97" in str(await second.result())


async def test_a_resumed_wait_can_be_cancelled(raw: Raw, task_id: str) -> None:
    id_ = await raw.id_of("wait_for_task", task_id=task_id)
    async with raw.resume(id_) as events:
        await events.next()
        assert (await events.next()).data["method"] == "notifications/progress"
        body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        response = await raw.http.post(raw.url, headers=LEGACY | raw.headers, json=body)
        assert response.status_code == 202
        assert "wait_for_task again" in str(await asyncio.wait_for(events.result(), 30))


async def test_what_is_too_large_for_a_header_has_no_id(raw: Raw) -> None:
    async with raw.call("wait_any", cursor="x" * 4000) as events:
        assert len((await events.next()).id) < 6144
    async with raw.call("check_task_status", task_id="x" * 5000) as events:
        assert (await events.next()).data["result"]["isError"]


async def test_another_token_of_the_caller_will_do(raw: Raw, world: World, task_id: str) -> None:
    id_ = await raw.id_of("check_task_status", task_id=task_id)
    expired = await raw.refused(**{"Last-Event-ID": id_, "Authorization": "Bearer expired"})
    assert expired.status_code == 401
    fresh = await world.token("alice")
    assert fresh != raw.headers["Authorization"].removeprefix("Bearer ")
    other = Raw(raw.http, raw.url, {"Authorization": f"Bearer {fresh}"})
    assert (await other.answer(id_))["structuredContent"]["task_id"] == task_id


def forged(id_: str) -> dict[str, str | bytes]:
    """Ids that were not given, made from one that was."""
    head, tail = id_[:40], id_[40:]
    return {
        "empty": "",
        "a number": "17",
        "truncated": id_[:-10],
        "longer": f"{id_}A",
        "a bit flipped": f"{head}{'A' if tail[0] != 'A' else 'B'}{tail[1:]}",
        "of another version": id_.replace("v1.", "v2."),
        "under another key": AESGCMRequestStateCodec([secrets.token_hex(32)]).seal(b"{}"),
        "long": "v1." + "A" * 10_000,
        "odd bytes": b"v1.\xff\xfe\xe2\x82\xac",
        "percent": "v1.%00%0a",
        "spaces": f"v1. {id_[3:]}",
    }


async def test_ids_that_were_not_given_are_refused(raw: Raw, heir: Replica, task_id: str) -> None:
    id_ = await raw.id_of("check_task_status", task_id=task_id)
    metric = 'longtask_mcp_auth_refusals_total{reason="BadEventId"}'
    before, bad = await heir.metric(metric), forged(id_)
    for name, value in bad.items():
        response = await raw.refused(**{"Last-Event-ID": value})
        assert (name, response.status_code) == (name, 400)
        assert response.json()["error"]["message"].startswith("Last-Event-ID: not an id that this server gave")
    assert await heir.metric(metric) == before + len(bad)
    assert (await raw.answer(id_))["structuredContent"]["task_id"] == task_id
    with suppress(httpx2.ReadError):  # the answer is lost where the server closes before it has read the header
        assert (await raw.refused(**{"Last-Event-ID": "A" * 100_000})).status_code in {400, 431}
    assert "Traceback" not in heir.log()


async def test_an_id_is_of_no_use_to_anybody_else(
    world: World,
    kubeconfig: Path,
    keys: Path,
    heir: Replica,
    raw: Raw,
    http: httpx2.AsyncClient,
    bob: str,
    task_id: str,
) -> None:
    id_ = await raw.id_of("check_task_status", task_id=task_id)
    response = await raw.refused(**{"Last-Event-ID": id_, "Authorization": f"Bearer {bob}"})
    assert response.status_code == 400
    trusted = f'["system:serviceaccount:{world.namespace}:alice"]'
    settings = {"resume_keys_file": str(keys), "trusted_principals": trusted}
    async with running(kubeconfig, world.namespace, kubeconfig.parent, **settings) as replica:
        speaking = {"X-LongTask-Actor-Id": "user-1", "X-LongTask-Session-Id": "conv-1"}
        one = Raw(http, replica.url, raw.headers | speaking)
        theirs = await one.id_of("list_tasks")
        assert not (await one.answer(theirs))["isError"]
        for headers in ({}, {"X-LongTask-Session-Id": "conv-2"}, {"X-LongTask-Actor-Id": "user-2"}):
            given = {} if headers == {} else speaking | headers
            other = Raw(http, replica.url, raw.headers | given)
            assert (await other.refused(**{"Last-Event-ID": theirs})).status_code == 400
        assert (await Raw(http, replica.url, raw.headers).answer(id_))["structuredContent"]["task_id"] == task_id


async def test_keys_can_be_changed_one_after_the_other(
    world: World, kubeconfig: Path, key: str, raw: Raw, http: httpx2.AsyncClient, task_id: str, tmp_path: Path
) -> None:
    id_ = await raw.id_of("check_task_status", task_id=task_id)
    next_keys = tmp_path / "keys"
    next_keys.write_text(f"{secrets.token_hex(32)} {key}")
    async with running(kubeconfig, world.namespace, tmp_path, resume_keys_file=str(next_keys)) as replica:
        newer = Raw(http, replica.url, raw.headers)
        assert (await newer.answer(id_))["structuredContent"]["task_id"] == task_id
        under_new = await newer.id_of("check_task_status", task_id=task_id)
    assert (await raw.refused(**{"Last-Event-ID": under_new})).status_code == 400


@pytest.mark.parametrize(
    ("changed", "status", "told"),
    [
        ({}, 405, "only POST is served"),
        ({"Last-Event-ID": "x", "Accept": "application/json"}, 406, "Accept: text/event-stream"),
        ({"Last-Event-ID": "x", "Origin": "https://attacker.example"}, 403, "web pages of that Origin"),
        ({"Last-Event-ID": "x", "Authorization": ""}, 401, ""),
    ],
    ids=["no id", "no stream", "a web page", "nobody"],
)
async def test_other_gets_are_refused(raw: Raw, changed: dict[str, str], status: int, told: str) -> None:
    response = await raw.refused(**changed)
    assert response.status_code == status
    assert told in response.text


async def test_without_a_key_nothing_is_resumed(replica: Replica, raw: Raw, http: httpx2.AsyncClient) -> None:
    keyless = Raw(http, replica.url, raw.headers)
    async with keyless.call("list_templates") as events:
        assert (await events.next()).data["id"] == 7
    id_ = await raw.id_of("list_templates")
    assert (await keyless.refused(**{"Last-Event-ID": id_})).status_code == 405
    assert replica.log().count("calls end with the replica that has them") == 1


async def test_many_resumed_waits_disturb_nobody(raw: Raw, victim: Replica, world: World, task_id: str) -> None:
    """They come at once, as after the loss of a replica. Some do not read."""
    id_, before = await raw.id_of("wait_for_task", task_id=task_id), memory(victim.process.pid, "VmRSS")
    fields = {"Host": "x", "Accept": "text/event-stream", "Last-Event-ID": id_, **raw.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    other = Raw(raw.http, victim.url, raw.headers)
    limit = asyncio.Semaphore(100)

    async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with limit:
            reader, writer = await asyncio.open_connection("127.0.0.1", victim.port)
            writer.write(f"GET /mcp HTTP/1.1\r\n{head}\r\n".encode())
            await reader.readuntil(b"notifications/progress")
            return reader, writer

    streams = await asyncio.gather(*(connected() for _ in range(WAITS)))
    try:
        assert not (await other.answer(await raw.id_of("check_task_status", task_id=task_id)))["isError"]
        most = memory(victim.process.pid, "VmRSS")
        print(f"{WAITS} waits: {most - before:.0f} MiB more than {before:.0f} MiB")
        assert most < chart_limit("mcp") / MEBIBYTE * 0.75
        await world.set_status(task_id, **SUCCEEDED)
        answers = await asyncio.gather(*(reader.readuntil(b'"id":7') for reader, _ in streams[WAITS // 10 :]))
        assert len(answers) == WAITS - WAITS // 10
    finally:
        for _, writer in streams:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in streams), return_exceptions=True)
    assert "Traceback" not in victim.log()
