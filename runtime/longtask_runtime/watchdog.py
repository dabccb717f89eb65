"""Notices what blocks the event loop: a callback that holds it for longer than 100 ms holds everybody up.

A thread looks at the thread of the loop 40 times a second. What the loop has called is the outermost frame below the
loop's own; while that is the same frame, and the loop has not come round, it is the same callback. Of its time counts
what is our doing: time on the CPU, and time asleep in a call that blocks. On a busy machine a thread also waits for the
CPU; the kernel counts that (schedstat), and it is left out. So is what passes while the thread that looks cannot run
either, unless the loop's thread computes meanwhile: then native code holds the interpreter.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from prometheus_client import CollectorRegistry, Counter

PERIOD = 0.025
"""Seconds between two looks."""
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
    """As it was seen at last, outermost call first."""


class Watchdog:
    """Counts and logs what blocks the loop that runs in this thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._times = Counter(
            "longtask_event_loop_blocked", "Callbacks that held the event loop for 0.1 s or longer.", registry=registry
        )
        self._seconds = Counter(
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
    turns = _Turns(asyncio.get_running_loop())
    ended = threading.Event()
    looking = threading.Thread(target=_Looking(turns, tell, limit).until, args=(ended,), name="watchdog", daemon=True)
    looking.start()
    try:
        yield
    finally:
        turns.end()
        ended.set()
        looking.join()


class _Turns:
    """How often the loop has come round, as far as a timer tells."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.count = 0
        self._loop = loop
        self._timer: asyncio.Handle = loop.call_soon(self._turn)

    def end(self) -> None:
        self._timer.cancel()

    def _turn(self) -> None:
        self.count += 1
        self._timer = self._loop.call_later(PERIOD / 2, self._turn)


@dataclass(frozen=True)
class _Look:
    """What was seen at one moment. Times are in seconds."""

    at: float
    on_cpu: float
    """Of the loop's thread so far."""
    waited: float
    """For a CPU, by the loop's thread so far, and by the one that looks."""
    turn: int
    called: FrameType | None

    def went_on(self, before: "_Look") -> bool:
        """Whether what was seen then is still being done."""
        return self.called is not None and self.called is before.called and self.turn == before.turn


class _Looking:
    """The thread that looks."""

    def __init__(self, turns: _Turns, tell: Callable[[Blocked], object], limit: float) -> None:
        self._thread = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._schedstat = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
        self._turns = turns
        self._tell = tell
        self._limit = limit
        self._late = 0.0

    def until(self, ended: threading.Event) -> None:
        """Look, until that is set."""
        last = first = self._look(None)
        stack = ""
        while not ended.wait(PERIOD):
            now = self._look(last)
            if not now.went_on(first):
                self._judge(first, last, stack)
                first, stack = now, ""
                if now.at - last.at > self._limit / 2 and now.turn - last.turn <= 2:
                    first = replace(last, called=now.called, turn=now.turn)  # it began while nobody could look
            if now.at - first.at >= self._limit / 2 and now.called is not None:
                stack = "".join(traceback.format_stack(sys._current_frames().get(self._thread)))
            last = now
        self._judge(first, last, stack)

    def _look(self, last: _Look | None) -> _Look:
        at, on_cpu = time.monotonic(), time.clock_gettime(self._clock)
        if last is not None:
            self._late += max(0.0, at - last.at - 2 * PERIOD - (on_cpu - last.on_cpu))
        called = _called(sys._current_frames().get(self._thread))
        return _Look(at, on_cpu, self._queued() + self._late, self._turns.count, called)

    def _queued(self) -> float:
        """Seconds for which the loop's thread waited for a CPU so far; 0 where the kernel does not count them
        (https://docs.kernel.org/scheduler/sched-stats.html).
        """
        try:
            return int(self._schedstat.read_bytes().split()[1]) / 1e9
        except (OSError, LookupError, ValueError):
            return 0.0

    def _judge(self, first: _Look, last: _Look, stack: str) -> None:
        on_cpu = last.on_cpu - first.on_cpu
        seconds = max(on_cpu, last.at - first.at - (last.waited - first.waited))
        if seconds >= self._limit and stack:
            self._tell(Blocked(seconds, on_cpu, stack))


def _called(frame: FrameType | None) -> FrameType | None:
    """What the loop has called: the outermost frame that is not the loop's own; None while it waits for events."""
    called = None
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module in ("asyncio.base_events", "asyncio.runners") and frame.f_code.co_name in ("_run_once", "run"):
            waits = called is None or called.f_globals.get("__name__") == "selectors"
            return None if waits else called
        called, frame = frame, frame.f_back
    return None
