"""What a task may have of the task API at a time, so that there is something left for the others."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from longtask_operator.task_api.errors import Refusal
from longtask_operator.task_api.http_content import FIRST_SECONDS, SLOWEST, begin, small_json
from longtask_operator.task_api.limits import Calls, Room, Share
from longtask_operator.task_api.schemas import ProgressBody
from tests.unit.virtual_time import until_idle

Main = Callable[[], Coroutine[Any, Any, None]]


def _run(main: Main) -> None:
    """Run to the end, on a clock that jumps; what fails in it fails the test."""
    ended: list[BaseException | None] = []

    async def kept() -> None:
        try:
            await main()
        except BaseException as error:
            ended.append(error)
        else:
            ended.append(None)

    until_idle(kept)
    if ended != [None]:
        raise ended[0] or AssertionError("it never ended")


def test_a_task_has_so_many_calls_under_way_and_another_task_has_its_own() -> None:
    calls = Calls(2)
    with calls.one("a"), calls.one("a"):
        with pytest.raises(Refusal) as refused, calls.one("a"):
            pass
        assert (refused.value.status, refused.value.reason) == (429, "TooManyCalls")
        with calls.one("b"):
            pass
    with calls.one("a"), calls.one("a"):
        pass
    assert not calls._under_way


def test_bytes_of_a_task_wait_until_its_other_calls_give_room_back() -> None:
    async def main() -> None:
        room, loop = Room(total=100, each=60), asyncio.get_running_loop()
        with room.share("a") as first, room.share("a") as second, room.share("b") as other:
            await first.take(50)
            await other.take(40)
            loop.call_later(5, first.give_back, 50)
            await second.take(20)
            assert loop.time() == pytest.approx(5)

    _run(main)


@pytest.mark.parametrize(
    ("each", "words"), [(60, "the task's own calls hold"), (100, "other calls hold")], ids=["its-own", "all"]
)
def test_bytes_for_which_there_is_no_room_for_long_are_refused_for_now(each: int, words: str) -> None:
    async def main() -> None:
        room, loop = Room(total=100, each=each, patience=20), asyncio.get_running_loop()
        with room.share("a") as first, room.share("b") as other, room.share("a") as second:
            await first.take(50)
            await other.take(40)
            with pytest.raises(Refusal, match=words) as refused:
                await second.take(11)
            assert (refused.value.status, refused.value.reason) == (503, "NoRoom")
            assert loop.time() == pytest.approx(20)

    _run(main)


async def test_the_end_of_a_call_gives_back_what_it_held() -> None:
    room = Room(total=10, each=10)
    for _ in range(3):
        with room.share("a") as share:
            await share.take(10)
    assert not room._taken


Sends = Callable[[], AsyncIterator[bytes]]


def _request(sends: Sends, **headers: str) -> Request:
    """A request whose body comes as `sends` yields it; what then happens is that nothing comes, or it ends."""
    coming = sends()

    async def receive() -> Message:
        try:
            return {"type": "http.request", "body": await anext(coming), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "PUT", "path": "/", "headers": named}, receive)


def _share() -> Share:
    return Share(Room(total=2**30, each=2**30), "a")


def test_a_body_that_comes_by_the_byte_is_given_up() -> None:
    async def by_the_byte() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(7)
            yield b"x"

    async def main() -> None:
        with pytest.raises(Refusal) as refused:
            await begin(_request(by_the_byte), 1000, _share())
        assert (refused.value.status, refused.value.reason) == (408, "TooSlow")
        assert asyncio.get_running_loop().time() == pytest.approx(FIRST_SECONDS, abs=1)

    _run(main)


def test_a_body_that_keeps_the_pace_may_take_as_long_as_it_needs() -> None:
    async def steadily() -> AsyncIterator[bytes]:
        for _ in range(100):
            await asyncio.sleep(1)
            yield bytes(SLOWEST)

    async def main() -> None:
        begun = await begin(_request(steadily), 200 * SLOWEST, _share())
        assert (len(begun.head), begun.rest) == (100 * SLOWEST, None)

    _run(main)


def test_time_in_which_the_body_is_not_read_does_not_count() -> None:
    async def at_once() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"xx"

    async def main() -> None:
        begun = await begin(_request(at_once), 1, _share())
        assert begun.rest is not None
        await asyncio.sleep(3600)
        assert b"".join([chunk async for chunk in begun.chunks()]) == b"xxxxxx"

    _run(main)


async def test_what_came_of_a_body_is_counted_against_the_share() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"123"
        yield b"45"

    share = _share()
    await begin(_request(body), 1000, share)
    assert share.taken == 5


async def test_a_caller_that_leaves_in_the_middle_is_refused_and_no_error() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    with pytest.raises(Refusal) as refused:
        await small_json(request, 1000, _share(), ProgressBody)
    assert (refused.value.status, refused.value.reason) == (400, "Incomplete")


@pytest.mark.parametrize("headers", [{}, {"content_length": "20"}, {"content_length": "9" * 4000}], ids=str)
async def test_a_small_body_that_is_not_small_is_not_read_on(headers: dict[str, str]) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 6
            yield b"      "

    with pytest.raises(Refusal, match="more than 16 bytes") as refused:
        await small_json(_request(endless, **headers), 16, _share(), ProgressBody)
    assert refused.value.status == 413
    assert read == (0 if headers else 18)
