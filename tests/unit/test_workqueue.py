"""The queue of keys."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import uvloop

from longtask_operator.workqueue import FIRST_RETRY, LAST_RETRY, WorkQueue
from tests.unit.virtual_time import until_idle

Work = Callable[[str], Awaitable[None]]


@dataclass
class Seen:
    """What was worked on, with the time, and what failed."""

    work: list[tuple[str, float]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The keys in the order of their work."""
        return [key for key, _ in self.work]


def _drive(
    start: Callable[[WorkQueue[str]], None], during: Work | None = None, workers: int = 1, urgent: str = ""
) -> Seen:
    """Run a queue, from `start` until nothing is left to happen; `during` is done for each key."""
    seen = Seen()

    async def work(key: str) -> None:
        seen.work.append((key, asyncio.get_running_loop().time()))
        if during is not None:
            await during(key)

    async def main() -> None:
        queue = WorkQueue(
            work, lambda key, error: seen.failures.append((key, str(error))), workers, lambda key: key in urgent
        )
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(0)
        start(queue)
        await running

    until_idle(main)
    return seen


def _adding(keys: str) -> Callable[[WorkQueue[str]], None]:
    def start(queue: WorkQueue[str]) -> None:
        for key in keys:
            queue.add(key)

    return start


def _after(seconds: float, act: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_later(seconds, act)


async def _lasting(seconds: float) -> None:
    done = asyncio.get_running_loop().create_future()
    _after(seconds, lambda: done.set_result(None))
    await done


def test_a_key_that_is_added_often_is_worked_on_once() -> None:
    assert _drive(_adding("abab")).keys == ["a", "b"]


def test_urgent_keys_overtake_the_others_but_do_not_keep_them_waiting() -> None:
    assert _drive(_adding("abcd"), urgent="bd").keys == ["b", "d", "a", "c"]
    assert _drive(_adding("abcABCDEFGH"), urgent="ABCDEFGH").keys == [*"ABCaDEFbGHc"]


def test_urgent_keys_leave_a_worker_to_the_others() -> None:
    async def during(key: str) -> None:
        if key.isupper():
            await _lasting(100)

    seen = _drive(_adding("ABCDEFabc"), during, workers=4, urgent="ABCDEF")
    assert [at for key, at in seen.work if key in "abc"] == [0, 0, 0]
    assert [at for key, at in seen.work if key in "ABCDEF"] == [0, 0, 0, 0, 100, 100]


def test_what_is_urgent_is_decided_when_a_key_is_added() -> None:
    urgent = {"a"}
    worked: list[str] = []

    async def work(key: str) -> None:
        worked.append(key)

    async def main() -> None:
        queue = WorkQueue(work, lambda key, error: None, 1, urgent.__contains__)
        running = asyncio.create_task(queue.run("xa"))
        await asyncio.sleep(0)
        urgent.clear()
        await running

    until_idle(main)
    assert worked == ["a", "x"]


def test_a_key_that_was_worked_on_can_come_again() -> None:
    def start(queue: WorkQueue[str]) -> None:
        queue.add("a")
        _after(5, lambda: queue.add("a"))

    assert _drive(start).work == [("a", 0), ("a", 5)]


def test_a_key_that_is_added_while_it_is_worked_on_comes_again_once_and_only_afterwards() -> None:
    def start(queue: WorkQueue[str]) -> None:
        queue.add("a")
        for second in (1, 2, 3):
            _after(second, lambda: queue.add("a"))

    assert _drive(start, lambda _: _lasting(10), workers=3).work == [("a", 0), ("a", 10)]


def test_as_many_keys_at_a_time_as_there_are_workers() -> None:
    seen = _drive(_adding("abc"), lambda _: _lasting(10), workers=2)
    assert seen.work == [("a", 0), ("b", 0), ("c", 10)]


@pytest.mark.parametrize(
    ("delays", "expected"),
    [((5,), 5), ((5, 1), 1), ((1, 5), 1), ((3, 1, 2), 1), ((0,), 0), ((-1,), 0)],
)
def test_the_earliest_of_several_times_counts(delays: tuple[float, ...], expected: float) -> None:
    def start(queue: WorkQueue[str]) -> None:
        for delay in delays:
            queue.add_later("a", delay)

    ((key, when),) = _drive(start).work
    assert (key, round(when, 6)) == ("a", expected)


def test_each_key_has_its_own_time() -> None:
    def start(queue: WorkQueue[str]) -> None:
        queue.add_later("a", 5)
        queue.add_later("b", 1)

    assert [(key, round(when, 6)) for key, when in _drive(start).work] == [("b", 1), ("a", 5)]


def test_a_time_that_comes_while_the_key_is_worked_on_brings_it_again() -> None:
    def start(queue: WorkQueue[str]) -> None:
        queue.add("a")
        queue.add_later("a", 3)

    assert _drive(start, lambda _: _lasting(10)).work == [("a", 0), ("a", 10)]


def _failing(times: int) -> Work:
    left = {"times": times}

    async def work(_: str) -> None:
        left["times"] -= 1
        if left["times"] >= 0:
            raise ValueError("not yet")

    return work


def test_a_failure_is_told_and_the_key_comes_again() -> None:
    seen = _drive(lambda queue: queue.add("a"), _failing(1))
    assert seen.failures == [("a", "not yet")]
    assert seen.keys == ["a", "a"]


def test_a_failing_key_waits_twice_as_long_each_time_up_to_a_limit() -> None:
    times = [at for _, at in _drive(lambda queue: queue.add("a"), _failing(16)).work]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) == 16
    for number, gap in enumerate(gaps, start=1):
        longest = min(LAST_RETRY, FIRST_RETRY * 2**number)
        assert longest / 2 - 1e-6 <= gap <= longest + 1e-6, (number, gap)


def test_the_waits_of_several_failing_keys_are_spread() -> None:
    async def fail_once(key: str) -> None:
        if key not in failed:
            failed.add(key)
            raise ValueError(key)

    failed = set[str]()
    seen = _drive(_adding("0123456789"), fail_once)
    assert len({at for _, at in seen.work if at > 0}) > 5


def test_a_success_lets_the_waits_begin_anew() -> None:
    outcomes = iter([False] * 8 + [True, False, True])

    async def work(_: str) -> None:
        if not next(outcomes):
            raise ValueError("not yet")

    def start(queue: WorkQueue[str]) -> None:
        queue.add("a")
        _after(1000, lambda: queue.add("a"))

    times = [at for _, at in _drive(start, work).work]
    assert times[-2] == 1000
    assert times[-1] - times[-2] <= 2 * FIRST_RETRY + 1e-6


def test_one_failing_key_does_not_hold_up_another() -> None:
    async def work(key: str) -> None:
        if key == "a" and not seen:
            seen.append(key)
            raise ValueError(key)

    seen: list[str] = []
    assert _drive(_adding("ab"), work).keys == ["a", "b", "a"]


def test_a_forgotten_key_does_not_come_at_its_time() -> None:
    def start(queue: WorkQueue[str]) -> None:
        queue.add_later("a", 5)
        queue.add_later("b", 5)
        queue.forget("a")
        queue.forget("never-seen")

    assert _drive(start).keys == ["b"]


def test_a_forgotten_key_has_no_failures() -> None:
    def start(queue: WorkQueue[str]) -> None:
        queue.add("a")
        _after(1000, lambda: queue.forget("a"))
        _after(1000, lambda: queue.add("a"))

    times = [at for _, at in _drive(start, _failing(50)).work]
    first = next(index for index, at in enumerate(times) if at == 1000)
    assert times[first + 1] - times[first] <= 2 * FIRST_RETRY + 1e-6


async def test_what_is_queued_being_worked_on_or_due_later_when_a_run_ends_is_not_there_for_the_next_run() -> None:
    started, done = asyncio.Event(), asyncio.Event()
    worked: list[str] = []

    async def work(key: str) -> None:
        started.set()
        if key in "abc":
            await asyncio.Event().wait()
        worked.append(key)
        done.set()

    queue = WorkQueue(work, lambda key, error: None, 1)
    running = asyncio.create_task(queue.run("ab"))
    await asyncio.wait_for(started.wait(), 5)
    queue.add("a")
    queue.add_later("c", 0.05)
    await _ended(running)
    assert (worked, len(queue)) == ([], 0)

    running = asyncio.create_task(queue.run("d"))
    await asyncio.wait_for(done.wait(), 5)
    await asyncio.sleep(0.1)  # what was due later would have come by now
    await _ended(running)
    assert worked == ["d"]


async def test_a_queue_that_does_not_run_holds_nothing() -> None:
    queue = WorkQueue(_nothing, lambda key, error: None, 1)
    for number in range(1000):
        queue.add(str(number))
        queue.add_later(str(number), 60)
    assert len(queue) == 0
    assert not queue._timers
    assert queue._ready.locked()


async def test_the_loop_is_given_back_after_each_key() -> None:
    turns: list[str] = []

    async def work(key: str) -> None:
        turns.append(key)
        asyncio.get_running_loop().call_soon(turns.append, "loop")

    queue = WorkQueue(work, lambda key, error: None, 1)
    running = asyncio.create_task(queue.run("abc"))
    async with asyncio.timeout(5):
        while len(turns) < 6:  # noqa: ASYNC110 - turns of the loop are what is counted
            await asyncio.sleep(0)
    await _ended(running)
    assert turns == ["a", "loop", "b", "loop", "c", "loop"]


async def test_a_run_begins_with_what_it_is_given() -> None:
    worked: list[str] = []
    done = asyncio.Event()

    async def work(key: str) -> None:
        worked.append(key)
        if len(worked) == 3:
            done.set()

    queue = WorkQueue(work, lambda key, error: None, 1)
    running = asyncio.create_task(queue.run("abc"))
    await asyncio.wait_for(done.wait(), 5)
    await _ended(running)
    assert worked == ["a", "b", "c"]


async def test_the_length_is_what_waits_and_not_what_is_worked_on() -> None:
    started = asyncio.Event()

    async def work(_: str) -> None:
        started.set()
        await asyncio.Event().wait()

    queue = WorkQueue(work, lambda key, error: None, 1)
    assert len(queue) == 0
    running = asyncio.create_task(queue.run("ab"))
    async with asyncio.timeout(5):
        await started.wait()
    assert len(queue) == 1
    queue.add("a")
    assert len(queue) == 2
    await _ended(running)


def test_a_key_can_be_asked_for_at_once_several_times_on_the_loop_of_the_process() -> None:
    """uvloop, which gives another handle for what is due already."""
    worked: list[str] = []
    done = asyncio.Event()

    async def work(key: str) -> None:
        worked.append(key)
        done.set()

    async def main() -> None:
        queue = WorkQueue(work, lambda key, error: None, 1)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(0)
        for seconds in (0.0, 0.0, 5.0):
            queue.add_later("a", seconds)
        async with asyncio.timeout(5):
            await done.wait()
        await _ended(running)

    uvloop.run(main())
    assert worked == ["a"]


async def _nothing(_: str) -> None:
    """Do nothing."""


async def _ended(running: asyncio.Task[None]) -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
