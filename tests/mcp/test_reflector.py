"""The cache follows the real API server: lists in pages, watches that end, history that has expired, outages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from longtask_api import names
from longtask_api.longtask import LongTask
from longtask_mcp import reflector
from longtask_mcp.cache import Cache
from longtask_mcp.facts import owner
from longtask_mcp.reflector import Expired, Reflector
from tests.mcp.replica import Agent, agent, running
from tests.mcp.world import World, eventually


@pytest.fixture
def cache() -> Cache[LongTask]:
    return Cache(owner)


@pytest.fixture
async def following(world: World, cache: Cache[LongTask]) -> AsyncIterator[Reflector[LongTask]]:
    """A reflector of the namespace's tasks that has made its first list."""
    running_reflector = Reflector(world.client, world.tasks_path, LongTask.from_api, cache)
    run = asyncio.create_task(running_reflector.run())
    await asyncio.wait_for(running_reflector.synced.wait(), 10)
    yield running_reflector
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run


async def make(world: World, name: str) -> str:
    body: dict[str, Any] = {
        "apiVersion": names.API_VERSION,
        "kind": names.TASK_KIND,
        "metadata": {"name": name},
        "spec": {"templateRef": {"name": "model-training"}},
    }
    return str((await world.post(world.tasks_path, body))["metadata"]["uid"])


async def test_a_list_in_pages_is_complete(
    world: World, cache: Cache[LongTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "PAGE_SIZE", 2)
    made = {await make(world, f"paged-{number}") for number in range(5)}
    paging = Reflector(world.client, world.tasks_path, LongTask.from_api, cache)
    run = asyncio.create_task(paging.run())
    await asyncio.wait_for(paging.synced.wait(), 10)
    run.cancel()
    assert made <= {task.metadata.uid for task in cache.all()}


@pytest.mark.usefixtures("following")
async def test_what_is_made_and_deleted_is_followed(world: World, cache: Cache[LongTask]) -> None:
    uid = await make(world, "followed")
    await asyncio.wait_for(cache.appears(uid, 10), 11)
    assert cache.get(uid) is not None
    await world.delete(f"{world.tasks_path}/followed")

    async def gone() -> bool:
        return cache.get(uid) is None

    await eventually(gone, "the deletion")


async def test_a_watch_that_ended_is_taken_up_where_it_was(
    world: World, cache: Cache[LongTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "WATCH_SECONDS", 2)
    lists = 0
    replace = cache.replace

    def counted(*arguments: Any) -> None:
        nonlocal lists
        lists += 1
        replace(*arguments)

    monkeypatch.setattr(cache, "replace", counted)
    short = Reflector(world.client, world.tasks_path, LongTask.from_api, cache)
    run = asyncio.create_task(short.run())
    watches = 0
    events = short._events

    def watched(version: str) -> Any:
        nonlocal watches
        watches += 1
        return events(version)

    monkeypatch.setattr(short, "_events", watched)

    async def third() -> bool:
        return watches >= 3

    await eventually(third, "the third watch")
    uid = await make(world, "after-two-watches")
    await asyncio.wait_for(cache.appears(uid, 10), 11)
    run.cancel()
    assert cache.get(uid) is not None
    assert lists == 1


async def test_history_that_has_expired_is_told_apart(world: World, cache: Cache[LongTask]) -> None:
    late = Reflector(world.client, world.tasks_path, LongTask.from_api, cache)
    with pytest.raises(Expired):
        await late._watch("1")


class Line:
    """The line between a server and the API server; it can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._cut = False

    async def __aenter__(self) -> "Line":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()

    def cut(self) -> None:
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        self._cut = False

    async def _connect(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        if self._cut:
            near_writer.transport.abort()
            return
        far, far_writer = await asyncio.open_connection(*self._target)
        ends = {near_writer, far_writer}
        self._open |= ends
        await asyncio.gather(_pour(near, far_writer), _pour(far, near_writer))
        self._open -= ends


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.transport.abort()


@pytest.fixture
async def line(world: World) -> AsyncIterator[Line]:
    address = urlsplit(world.client.configuration.host)
    async with Line(str(address.hostname), address.port or 443) as line:
        yield line


async def test_an_outage_of_the_api_server_is_told_and_survived(
    world: World, kubeconfig: Path, line: Line, alice: str, new_key: Callable[[], str], tmp_path: Path
) -> None:
    async with (
        running(_through(line, kubeconfig, tmp_path), world.namespace, tmp_path) as replica,
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
        unseen = await make(world, "made-in-the-outage")
        line.mend()

        await eventually(lambda: _followed(world, session, task_id), "changes after the outage", 40)
        again = await session.call("model_training", model_name="digits", idempotency_key=key)
        assert again.task_id == task_id
        assert await replica.metric("longtask_mcp_cached_tasks") == len(await world.tasks())
    assert unseen in {task.metadata.uid for task in await world.tasks()}


def _through(line: Line, kubeconfig: Path, folder: Path) -> Path:
    """A kubeconfig that reaches the API server over the line."""
    document = yaml.safe_load(kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    cluster["tls-server-name"] = urlsplit(cluster["server"]).hostname
    cluster["server"] = f"https://127.0.0.1:{line.port}"
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


async def _followed(world: World, session: Agent, task_id: str) -> bool:
    await world.set_status(task_id, message="seen after the outage")
    return "seen after the outage" in (await session.call("check_task_status", task_id=task_id)).text
