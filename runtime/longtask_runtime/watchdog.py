"""Detects callbacks that block the event loop for 100 ms or longer.

A timer on the loop fires 20 times a second and measures how late it is, because of one blocking callback or many short
ones in one iteration. Only time that the process itself is responsible for counts: time on the CPU, and time asleep in
a blocking call. On a busy machine a thread also waits for a CPU; the kernel counts that (schedstat), and it is
subtracted. So is time in which the watchdog thread could not run either, unless the loop's thread was on the CPU
meanwhile: then native code holds the GIL.

The watchdog thread takes the stack with faulthandler, when the timer is overdue; faulthandler reads the interpreter's
own frames. sys._current_frames creates objects from another thread's running frames, and doing so 40 times a second
crashed CPython 3.11 with a segmentation fault.

Most of the cost is waking up: timer and thread take 1 to 2% of a core, and a shorter period would take more in
proportion. The price is that a callback that sleeps for 0.1 to 0.15 s may be missed.
"""

import asyncio
import faulthandler
import linecache
import logging
import os
import re
import selectors
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import prometheus_client

PERIOD = 0.05
"""Seconds between two firings of the loop's timer."""
LATE = 0.025
"""Seconds after which the timer is overdue, and between two samples of the stack."""
LIMIT = 0.1
"""Seconds for which a callback may block the loop."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Blocked:
    """A callback that blocked the loop."""

    seconds: float
    """How long, without time spent waiting for a CPU."""
    on_cpu: float
    """Seconds of that on the CPU; the rest was spent asleep in a blocking call."""
    stack: str
    """The stack that was sampled most often, outermost call first."""


class Watchdog:
    """Counts and logs callbacks that block the loop of this thread, with metrics in `registry`."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._times = prometheus_client.Counter(
            "longtask_event_loop_blocked", "Callbacks that held the event loop for 0.1 s or longer.", registry=registry
        )
        self._seconds = prometheus_client.Counter(
            "longtask_event_loop_blocked_seconds", "Time for which they held it, in seconds.", registry=registry
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Context manager: watch the running loop until the block ends."""
        with watching(self._tell):
            yield

    def _tell(self, blocked: Blocked) -> None:
        self._times.inc()
        self._seconds.inc(blocked.seconds)
        log.warning(
            "the event loop was blocked",
            extra={"seconds": round(blocked.seconds, 3), "on_cpu": round(blocked.on_cpu, 3), "stack": blocked.stack},
        )


@contextmanager
def watching(tell: Callable[[Blocked], object], limit: float = LIMIT) -> Iterator[None]:
    """Context manager: watch the running loop until the block ends. `tell` is called in the watchdog thread for each
    callback that blocked the loop for `limit` seconds or longer, after the callback has ended."""
    turns = _Turns(asyncio.get_running_loop(), limit)
    ended = threading.Lock()
    ended.acquire()
    looking = threading.Thread(target=_Looking(turns, tell, limit).until, args=(ended,), name="watchdog", daemon=True)
    looking.start()
    turns.begin()  # a thread may start late on a busy machine, which is not a blocking callback
    try:
        yield
    finally:
        turns.end()
        ended.release()
        looking.join()


@dataclass(frozen=True)
class _Turn:
    """A firing of the timer. All times are in seconds."""

    at: float
    """Monotonic clock."""
    on_cpu: float
    """CPU time of the loop's thread so far."""
    queued: float = 0.0
    """Time that the thread has waited for a CPU so far."""


class _Turns:
    """The timer on the loop. Must be created in the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self.late = deque[tuple[_Turn, _Turn]](maxlen=100)
        """Pairs of consecutive firings at least `limit` seconds apart."""
        self._queue = _Queue()
        self.last = self._now()
        self._loop = loop
        self._limit = limit
        self._timer: asyncio.Handle = loop.call_soon(self._turn)

    def begin(self) -> None:
        """Ignore the time until now."""
        self.last = self._now()

    def end(self) -> None:
        """Stop the timer; time since the last firing still counts."""
        self._timer.cancel()
        self._come_round()
        self._queue.close()

    def _turn(self) -> None:
        self._come_round()
        self._timer = self._loop.call_later(PERIOD, self._turn)

    def _come_round(self) -> None:
        now = self._now()
        if now.at - self.last.at >= self._limit:
            self.late.append((self.last, now))
        self.last = now

    def _now(self) -> _Turn:
        return _Turn(time.monotonic(), time.thread_time(), self._queue.seconds())


class _Queue:
    """How long the thread that creates it has waited for a CPU (https://docs.kernel.org/scheduler/sched-stats.html)."""

    def __init__(self) -> None:
        try:
            self._schedstat = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        except OSError:
            self._schedstat = -1

    def seconds(self) -> float:
        """Seconds since the thread started; 0 if the kernel does not count them."""
        try:
            return int(os.pread(self._schedstat, 100, 0).split()[1]) / 1e9
        except (OSError, LookupError, ValueError):
            return 0.0

    def close(self) -> None:
        """Close the schedstat file."""
        if self._schedstat >= 0:
            os.close(self._schedstat)


class _Looking:
    """The watchdog thread. Must be created in the loop's thread."""

    def __init__(self, turns: _Turns, tell: Callable[[Blocked], object], limit: float) -> None:
        self._thread = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._turns = turns
        self._tell = tell
        self._limit = limit

    def until(self, ended: threading.Lock) -> None:
        """Watch until the lock can be acquired. Waiting for an Event instead would cost half as much again."""
        with tempfile.TemporaryFile("w+") as file:
            self._look(ended, file)

    def _look(self, ended: threading.Lock, file: IO[str]) -> None:
        late, seen = 0.0, Counter[str]()
        over, before = False, self._now()
        while not over:
            pause = max(LATE, self._turns.last.at + PERIOD + LATE - before.at)
            over = ended.acquire(timeout=pause)
            now = self._now()
            late += _longer_than(pause + LATE, before, now)
            before = now
            if now.at - self._turns.last.at >= PERIOD + LATE:
                stack = held_by(self._thread, file)
                if not self._turns.late or not seen:  # the callback may have ended meanwhile
                    seen[stack] += 1
                before = self._now()
                late += _longer_than(LATE / 5, now, before)
            elif not self._turns.late:
                late = 0.0
                if seen:
                    seen = Counter()
            while self._turns.late:
                self._judge(*self._turns.late.popleft(), late, _mostly(seen))

    def _now(self) -> _Turn:
        return _Turn(time.monotonic(), time.clock_gettime(self._clock))

    def _judge(self, before: _Turn, after: _Turn, late: float, stack: str) -> None:
        """`late` is how long neither this thread could run nor the loop's thread was on the CPU, in seconds."""
        on_cpu = after.on_cpu - before.on_cpu
        waited = after.queued - before.queued + late
        seconds = max(on_cpu, after.at - before.at - PERIOD - waited)
        if seconds >= self._limit and stack:
            self._tell(Blocked(seconds, on_cpu, stack))


def _longer_than(expected: float, before: _Turn, now: _Turn) -> float:
    """Seconds beyond `expected` in which neither the watchdog thread ran nor the loop's thread was on the CPU."""
    return max(0.0, now.at - before.at - expected - (now.on_cpu - before.on_cpu))


def _mostly(seen: Counter[str]) -> str:
    """The stack sampled most often, among those the deepest, since a sample may be from just before or after the
    callback. Empty if there is none.
    """
    return max((stack for stack in seen if stack), key=lambda stack: (seen[stack], stack.count("\n")), default="")


def held_by(thread: int, file: IO[str]) -> str:
    """What the loop in a thread has called, outermost call first; empty while the loop waits for events.

    `file` is an empty file to write to, opened in advance: opening one releases the GIL, and the callback may end.
    """
    faulthandler.dump_traceback(file)
    file.seek(0)
    threads = file.read().split("\n\n")
    file.seek(0)
    file.truncate()
    frames = next((_FRAME.findall(text) for text in threads if f"0x{thread:016x} " in text.partition("\n")[0]), [])
    called: list[str] = []
    for path, line, name in frames:
        if path.endswith(_LOOP) and name in ("_run_once", "run"):
            return "" if not called or called[-1].startswith(_WAITING) else "\n".join(reversed(called))
        called.append(f'  File "{path}", line {line}, in {name}\n    {linecache.getline(path, int(line)).strip()}')
    return ""


_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
_LOOP = ("/asyncio/base_events.py", "/asyncio/runners.py")
_WAITING = f'  File "{selectors.__file__}"'
