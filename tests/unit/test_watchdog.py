"""What is noticed as blocking the loop, and what is not. Times are real: what must be noticed takes long enough, and
what must not is told apart by its kind, however busy the machine is."""

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable

import prometheus_client
import pytest
import uvloop

from longtask_runtime.watchdog import Blocked, Watchdog, watching

LOOPS: list[Callable[[Awaitable[None]], None]] = [asyncio.run, uvloop.run]  # type: ignore[list-item]


def seen(run: Callable[[Awaitable[None]], None], what: Callable[[], Awaitable[None]]) -> list[Blocked]:
    """What was told of a loop that did this."""
    told: list[Blocked] = []

    async def main() -> None:
        with watching(told.append):
            await asyncio.sleep(0.05)
            await what()
            await asyncio.sleep(0.05)

    run(main())
    return told


def burn(seconds: float) -> None:
    """Compute for so long on the CPU."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.mark.parametrize("run", LOOPS)
def test_a_callback_that_computes_is_told_with_its_stack(run: Callable[[Awaitable[None]], None]) -> None:
    async def what() -> None:
        await asyncio.sleep(0)
        burn(1.0)

    [blocked] = seen(run, what)
    assert blocked.on_cpu > 0.3
    assert "burn(1.0)" in blocked.stack


@pytest.mark.parametrize("run", LOOPS)
def test_a_callback_that_is_no_coroutine_is_told_too(run: Callable[[Awaitable[None]], None]) -> None:
    async def what() -> None:
        asyncio.get_running_loop().call_soon(burn, 1.0)
        await asyncio.sleep(0.01)

    [blocked] = seen(run, what)
    assert "in burn" in blocked.stack


@pytest.mark.parametrize("run", LOOPS)
def test_a_call_that_sleeps_is_told_though_it_computes_nothing(run: Callable[[Awaitable[None]], None]) -> None:
    async def what() -> None:
        time.sleep(1.0)  # noqa: ASYNC251 - what is to be noticed

    [blocked] = seen(run, what)
    assert "time.sleep(1.0)" in blocked.stack
    assert blocked.on_cpu < 0.2


@pytest.mark.parametrize("run", LOOPS)
def test_native_code_that_holds_the_interpreter_is_told(run: Callable[[Awaitable[None]], None]) -> None:
    async def what() -> None:
        begun, length = time.thread_time(), 18
        while time.thread_time() - begun < 1.0:
            re.match(r"^(a+)+$", "a" * length + "b")
            length += 1

    [blocked] = seen(run, what)
    assert "in what" in blocked.stack


@pytest.mark.parametrize("run", LOOPS)
def test_many_short_callbacks_and_a_loop_that_waits_are_not_told(run: Callable[[Awaitable[None]], None]) -> None:
    async def short() -> None:
        for _ in range(20):
            burn(0.002)
            await asyncio.sleep(0)

    async def what() -> None:
        await asyncio.gather(*(short() for _ in range(8)))
        await asyncio.sleep(0.3)

    assert seen(run, what) == []


def test_a_busy_machine_is_not_told() -> None:
    """The loop's thread waits for the interpreter and the CPU all the time, and holds neither for long."""
    ended = threading.Event()

    def compete() -> None:
        while not ended.is_set():
            burn(0.01)

    competitors = [threading.Thread(target=compete) for _ in range(8)]

    async def what() -> None:
        for _ in range(20):
            burn(0.001)
            await asyncio.sleep(0)

    for each in competitors:
        each.start()
    try:
        assert seen(LOOPS[0], what) == []
    finally:
        ended.set()
        for each in competitors:
            each.join()


def test_what_is_told_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    registry = prometheus_client.CollectorRegistry()

    async def main() -> None:
        with Watchdog(registry).watching():
            await asyncio.sleep(0.05)
            burn(1.0)
            await asyncio.sleep(0.05)

    asyncio.run(main())
    assert registry.get_sample_value("longtask_event_loop_blocked_total") == 1
    seconds = registry.get_sample_value("longtask_event_loop_blocked_seconds_total")
    assert seconds is not None
    assert seconds > 0.3
    [record] = caplog.records
    assert "burn(1.0)" in record.__dict__["stack"]
