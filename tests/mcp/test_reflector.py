"""A reflector follows a real API server (lists in pages, watches that end, history that has expired), and notices one
that says nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from longtask_api.longtask import LongTask
from longtask_mcp.cache import Cache
from longtask_mcp.feed import Feed
from longtask_runtime import kube, reflector
from longtask_runtime.reflector import Expired, Reflector, fill, silent
from tests.mcp.world import World, eventually


class Kept:
    """A store that keeps versions, and counts what it is given."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.taken: list[str] = []
        self.documents: list[dict[str, Any]] = []

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        return self.versions.get(metadata["uid"], 0) >= int(metadata["resourceVersion"])

    def take(self, document: dict[str, Any]) -> None:
        metadata = document["metadata"]
        self.versions[metadata["uid"]] = int(metadata["resourceVersion"])
        self.taken.append(metadata["uid"])
        self.documents.append(document)

    def lose(self, document: dict[str, Any]) -> None:
        self.versions.pop(document["metadata"]["uid"], None)

    def keep(self, listed: Set[str], version: int) -> None:
        self.versions = {uid: known for uid, known in self.versions.items() if uid in listed or known > version}


@pytest.fixture
def cache() -> Cache[LongTask]:
    return Cache()


def following_tasks(world: World, cache: Cache[LongTask]) -> Reflector:
    return Reflector(world.client, world.tasks_path, Feed(LongTask.from_api, cache))


@asynccontextmanager
async def run(running: Reflector) -> AsyncIterator[None]:
    """The reflector runs, and has made its first list when the block begins."""
    task = asyncio.create_task(running.run())
    await asyncio.wait_for(running.synced.wait(), 60)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_list_in_pages_is_complete(
    world: World, cache: Cache[LongTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "FIRST_PAGE", 2)
    monkeypatch.setattr(reflector, "LARGEST_PAGE", 2)
    made = {await world.make_task(f"paged-{number}") for number in range(5)}
    async with run(following_tasks(world, cache)):
        assert made <= {task.metadata.uid for task in cache.all()}


async def test_what_is_made_and_deleted_is_followed(world: World, cache: Cache[LongTask]) -> None:
    async with run(following_tasks(world, cache)):
        uid = await world.make_task("followed")
        await asyncio.wait_for(cache.appears(uid, 10), 60)
        assert cache.get(uid) is not None
        await world.delete(f"{world.tasks_path}/followed")

        async def gone() -> bool:
            return cache.get(uid) is None

        await eventually(gone, "the deletion")


async def test_an_object_larger_than_a_buffer_of_the_client_is_followed(world: World, cache: Cache[LongTask]) -> None:
    async with run(following_tasks(world, cache)):
        uid = await world.make_task("large", parameters={"text": "x" * 50_000, "more": ["y" * 1000] * 500})
        await asyncio.wait_for(cache.appears(uid, 10), 60)
        assert cache.get(uid) is not None


async def test_a_watch_that_ended_is_taken_up_where_it_was(
    world: World, cache: Cache[LongTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "WATCH_SECONDS", 2)
    queries: list[Mapping[str, str]] = []
    read_lines, request_text = kube.read_lines, kube.request_text

    def watched(*arguments: Any, query: Mapping[str, str], **more: Any) -> Any:
        queries.append(query)
        return read_lines(*arguments, query=query, **more)

    def listed(*arguments: Any, query: Mapping[str, str] | None = None, **more: Any) -> Any:
        queries.append(query or {"continue": "of something else"})
        return request_text(*arguments, query=query, **more)

    monkeypatch.setattr(kube, "read_lines", watched)
    monkeypatch.setattr(kube, "request_text", listed)
    async with run(following_tasks(world, cache)):

        async def third() -> bool:
            return sum("watch" in query for query in queries) >= 3

        await eventually(third, "the third watch")
        uid = await world.make_task("after-two-watches")
        await asyncio.wait_for(cache.appears(uid, 10), 60)
        assert cache.get(uid) is not None
        assert sum("watch" not in query and "continue" not in query for query in queries) == 1


async def test_a_list_beside_a_watch_gives_nothing_that_is_known(world: World) -> None:
    made = {await world.make_task(f"known-{number}") for number in range(3)}
    store = Kept()
    await fill(world.client, world.tasks_path, store)
    assert made <= set(store.taken)
    assert not any("managedFields" in document["metadata"] for document in store.documents)
    store.taken.clear()
    await fill(world.client, world.tasks_path, store)
    assert not made & set(store.taken)


async def test_a_list_drops_what_was_deleted_unseen(world: World) -> None:
    store = Kept()
    store.versions["a-ghost"] = 1
    await fill(world.client, world.tasks_path, store)
    assert "a-ghost" not in store.versions


async def test_history_that_has_expired_is_told_apart(world: World, cache: Cache[LongTask]) -> None:
    late = following_tasks(world, cache)
    late._version = "1"
    with pytest.raises(Expired):
        await late._watch()


Answer = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


@asynccontextmanager
async def api_server(watch: Answer) -> AsyncIterator[ApiClient]:
    """Lists one object at version 5, and answers watches as given."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            item = {"metadata": {"uid": "one", "name": "one", "resourceVersion": "5"}}
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": [item]})
        response = web.StreamResponse()
        await response.prepare(request)
        await watch(request, response)
        return response

    app = web.Application()
    app.router.add_get("/things", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    async with ApiClient(configuration) as client:
        yield client
    await runner.cleanup()


def event(kind: str, version: int, uid: str = "two") -> bytes:
    document = {"metadata": {"uid": uid, "name": uid, "resourceVersion": str(version)}}
    return json.dumps({"type": kind, "object": document}).encode() + b"\n"


async def test_a_watch_in_which_nothing_comes_is_left_and_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "SILENCE_SECONDS", 0.2)
    watches: list[str] = []

    async def watch(request: web.Request, response: web.StreamResponse) -> None:
        watches.append(request.query["resourceVersion"])
        if len(watches) < 3:
            await asyncio.sleep(60)  # the connection stands, and nothing comes
        await response.write(event("ADDED", 7))
        await asyncio.sleep(60)

    store = Kept()
    async with api_server(watch) as client, run(Reflector(client, "/things", store)):

        async def seen() -> bool:
            return "two" in store.versions

        await eventually(seen, "the event of the third watch")
    assert watches[:3] == ["5", "5", "5"]
    assert store.taken == ["one", "two"], "it was not listed again: the history is still there"


async def test_the_age_of_a_watch_is_that_of_the_last_event_bookmark_or_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(reflector, "DEAD_SECONDS", 1.0)
    speak = asyncio.Event()

    async def watch(_: web.Request, response: web.StreamResponse) -> None:
        await speak.wait()
        await response.write(event("BOOKMARK", 9))
        await asyncio.sleep(60)

    async with api_server(watch) as client:
        followed = Reflector(client, "/things", Kept())
        async with run(followed):
            assert silent({"things": followed.pulse}) is None

            async def dead() -> bool:
                return silent({"things": followed.pulse}) is not None

            await eventually(dead, "the notice of a dead watch")
            words = silent({"things": followed.pulse})
            assert words is not None
            assert words.startswith("nothing was heard of things for ")
            speak.set()

            async def lives() -> bool:
                return silent({"things": followed.pulse}) is None

            await eventually(lives, "the end of the silence")
            assert followed._version == "9"


async def test_a_refusal_is_not_heard_of_the_objects_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "DEAD_SECONDS", 1.0)

    async def watch(_: web.Request, __: web.StreamResponse) -> None:
        await asyncio.sleep(60)

    async with api_server(watch) as client:
        forbidden = Reflector(client, "/others", Kept())
        following = asyncio.create_task(forbidden.run())

        async def told() -> bool:
            words = silent({"others": forbidden.pulse})
            return words is not None and words.endswith("(the API server refuses: 404 Unknown)")

        await eventually(told, "the refusal in words")
        forbidden.pulse.beat()
        assert silent({"others": forbidden.pulse}) is None
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def test_an_error_in_a_watch_lists_again() -> None:
    answers = iter([b'{"type": "ERROR", "object": {"code": 410}}\n', b'{"type": "ERROR", "object": {"code": 500}}\n'])
    store, watches = Kept(), 0

    async def watch(_: web.Request, response: web.StreamResponse) -> None:
        nonlocal watches
        watches += 1
        store.versions["ghost"] = 3
        await response.write(next(answers, event("ADDED", 8)))
        await asyncio.sleep(60)

    async with api_server(watch) as client, run(Reflector(client, "/things", store)):

        async def seen() -> bool:
            return "two" in store.versions

        await eventually(seen, "the event after both errors")
    assert watches == 3


@pytest.mark.parametrize(
    "line", [b"[]", b"{}", b"null", b'{"type": "ERROR", "object": {}}', b'{"type": "x", "object": []}']
)
async def test_an_answer_of_another_form_lists_again(line: bytes) -> None:
    answers, store = iter([line + b"\n"]), Kept()

    async def watch(_: web.Request, response: web.StreamResponse) -> None:
        await response.write(next(answers, event("ADDED", 8)))
        await asyncio.sleep(60)

    async with api_server(watch) as client, run(Reflector(client, "/things", store)):

        async def seen() -> bool:
            return "two" in store.versions

        await eventually(seen, "the event after it")


async def test_one_object_that_cannot_be_read_does_not_hide_the_others() -> None:
    class Choosy(Kept):
        def take(self, document: dict[str, Any]) -> None:
            if document["metadata"]["uid"] == "bad":
                raise TypeError("of no use")
            super().take(document)

    async def watch(_: web.Request, response: web.StreamResponse) -> None:
        await response.write(event("ADDED", 7, "bad") + event("ADDED", 8, "good"))
        await asyncio.sleep(60)

    store = Choosy()
    async with api_server(watch) as client, run(Reflector(client, "/things", store)):

        async def seen() -> bool:
            return "good" in store.versions

        await eventually(seen, "the object after it")


@pytest.mark.parametrize(
    ("size", "items", "limit", "following"),
    [
        (20_000, 20, 20, 100),
        (100_000, 100, 100, 500),
        (500_000, 500, 500, 500),
        (5 * 2**20, 20, 20, 4),
        (100 * 2**20, 20, 20, 1),
        (100, 0, 20, 1),
    ],
)
def test_a_page_is_as_long_as_the_objects_of_the_last_one_allow(
    size: int, items: int, limit: int, following: int
) -> None:
    assert reflector._next_limit(size, items, limit) == following


class Clock:
    """Time that passes where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(reflector, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.mark.parametrize(
    ("seconds", "longest"), [(10, 0.4), (0, 12.8)], ids=["that had worked", "that never came about"]
)
async def test_pauses_between_broken_watches_grow_only_for_those(
    monkeypatch: pytest.MonkeyPatch, seconds: float, longest: float
) -> None:
    clock, pauses = Clock(monkeypatch), list[float]()
    followed = Reflector(cast(Any, None), "/things", Kept())
    followed._version = "5"

    async def watch() -> None:
        clock.now += seconds
        raise aiohttp.ClientPayloadError("cut by a proxy")

    async def sleep(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 10:
            raise asyncio.CancelledError

    monkeypatch.setattr(followed, "_watch", watch)
    monkeypatch.setattr(reflector, "asyncio", SimpleNamespace(sleep=sleep))
    with pytest.raises(asyncio.CancelledError):
        await followed.run()
    assert longest / 2 <= pauses[-1] <= longest


async def test_a_list_that_takes_long_is_heard_page_by_page_unless_lists_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, ages = Clock(monkeypatch), list[float]()
    followed = Reflector(cast(Any, None), "/things", Kept())
    pages = list[dict[str, Any] | Exception]()

    async def request_text(*_: object, **__: object) -> bytes:
        clock.now += 30
        ages.append(followed.pulse.age())
        page = pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return json.dumps({"items": [], "metadata": {"resourceVersion": "7", **page}}).encode()

    monkeypatch.setattr(kube, "request_text", request_text)
    more = {"continue": "more"}
    pages[:] = [more, more, more, {}]
    await followed.fill()
    assert (ages, followed.pulse.age()) == ([30] * 4, 0)

    ages.clear()
    for _ in range(2):
        pages[:] = [more, kube.KubeError(500, "InternalError", "too slow")]
        with pytest.raises(kube.KubeError):
            await followed.fill()
    assert ages == [30, 30, 60, 90]
