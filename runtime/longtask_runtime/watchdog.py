"""Notices what blocks the event loop: a callback that holds it for longer than 100 ms holds everybody up.

A timer of the loop comes round 20 times a second, and sees how late it is: for a callback that holds the loop, or for
many short ones in one turn. Of that counts what is our doing: time on the CPU, and time asleep in a call that blocks.
On a busy machine a thread also waits for the CPU; the kernel counts that (schedstat), and it is left out. So is what
passes while the thread that looks on cannot run either, unless the loop's thread computes meanwhile: then native code
holds the interpreter.

Where the loop is held is asked of faulthandler, by a thread that looks when the timer should have come round and has
not: it reads the interpreter's own frames. sys._current_frames makes objects of another thread's running frames, and
to make and keep them 40 times a second ended CPython 3.11 with a segmentation fault.

To wake up is what costs, more than what is done then: timer and thread take one or two hundredths of a core, and twice
as often would take twice as much. A callback that sleeps for 0.1 to 0.15 s may pass unseen for that.
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
"""Seconds in which the loop's timer comes round."""
LATE = 0.025
"""Seconds after which it is late, and between two looks at what holds it."""
LIMIT = 0.1
"""Seconds for which a callback may hold the loop."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Blocked:
    """A callback that held the loop."""

    seconds: float
    """Without those in which it waited for a CPU."""
    on_cpu: float
    """Seconds of them that it computed; in the others it slept in a call that blocks."""
    stack: str
    """As it was seen most often, outermost call first."""


class Watchdog:
    """Counts and logs what blocks the loop that runs in this thread."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._times = prometheus_client.Counter(
            "longtask_event_loop_blocked", "Callbacks that held the event loop for 0.1 s or longer.", registry=registry
        )
        self._seconds = prometheus_client.Counter(
            "longtask_event_loop_blocked_seconds", "Time for which they held it, in seconds.", registry=registry
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at the running loop until the block ends."""
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
    """Look at the running loop until the block ends; `tell` is called in a thread for each callback that held it for
    `limit` seconds, once it has ended."""
    turns = _Turns(asyncio.get_running_loop(), limit)
    ended = threading.Lock()
    ended.acquire()
    looking = threading.Thread(target=_Looking(turns, tell, limit).until, args=(ended,), name="watchdog", daemon=True)
    looking.start()
    turns.begin()  # a thread starts late on a busy machine, and that is no callback
    try:
        yield
    finally:
        turns.end()
        ended.release()
        looking.join()


@dataclass(frozen=True)
class _Turn:
    """When the loop came round. Times are in seconds."""

    at: float
    on_cpu: float
    """Of the loop's thread so far."""
    queued: float = 0.0
    """For which that thread waited for a CPU so far."""


class _Turns:
    """When the loop comes round, as its timer tells. Made in the thread of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self.late = deque[tuple[_Turn, _Turn]](maxlen=100)
        """Between these two turns it was held for at least the limit."""
        self._queue = _Queue()
        self.last = self._now()
        self._loop = loop
        self._limit = limit
        self._timer: asyncio.Handle = loop.call_soon(self._turn)

    def begin(self) -> None:
        """What was until now does not count."""
        self.last = self._now()

    def end(self) -> None:
        """Stop the timer; what holds the loop now counts too."""
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
    """For how long this thread waited for a CPU (https://docs.kernel.org/scheduler/sched-stats.html)."""

    def __init__(self) -> None:
        try:
            self._schedstat = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        except OSError:
            self._schedstat = -1

    def seconds(self) -> float:
        """Since it began; 0 where the kernel does not count them."""
        try:
            return int(os.pread(self._schedstat, 100, 0).split()[1]) / 1e9
        except (OSError, LookupError, ValueError):
            return 0.0

    def close(self) -> None:
        """Let go of what it reads."""
        if self._schedstat >= 0:
            os.close(self._schedstat)


class _Looking:
    """The thread that looks on. Made in the thread of the loop."""

    def __init__(self, turns: _Turns, tell: Callable[[Blocked], object], limit: float) -> None:
        self._thread = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._turns = turns
        self._tell = tell
        self._limit = limit

    def until(self, ended: threading.Lock) -> None:
        """Look, until that can be had: to wait for an Event costs half as much again."""
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
                if not self._turns.late or not seen:  # it may have ended meanwhile
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
        """`late` are the seconds for which neither this thread could go on, nor the loop's computed."""
        on_cpu = after.on_cpu - before.on_cpu
        waited = after.queued - before.queued + late
        seconds = max(on_cpu, after.at - before.at - PERIOD - waited)
        if seconds >= self._limit and stack:
            self._tell(Blocked(seconds, on_cpu, stack))


def _longer_than(expected: float, before: _Turn, now: _Turn) -> float:
    """Seconds for which neither the thread that looks on could go on, though it wanted to, nor the loop's computed."""
    return max(0.0, now.at - before.at - expected - (now.on_cpu - before.on_cpu))


def _mostly(seen: Counter[str]) -> str:
    """The stack that was seen most often, and of those the deepest: one may be of just before or after. Empty where
    none was seen.
    """
    return max((stack for stack in seen if stack), key=lambda stack: (seen[stack], stack.count("\n")), default="")


def held_by(thread: int, file: IO[str]) -> str:
    """What the loop that runs in a thread has called, outermost call first; empty while it waits for events.

    `file` is an empty one to write to, made before: to make one gives the interpreter away, and the call may end.
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
