"""Work that forks while a thread of the SDK is busy, or holds a lock."""

import contextlib
import io
import multiprocessing
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import longtask
from longtask.forks import no_fork
from longtask.stderr_log import notice

BUSY_SECONDS, CHILD_SECONDS = 0.5, 20
reported = threading.Event()
"""Set once the reporter's thread is in the middle of something that a fork must not catch."""


class Imports:
    """A finder that finds nothing: told of each import, it keeps those of the reporter's thread, and takes its time."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def find_spec(self, name: str, *_: Any) -> None:
        if threading.current_thread().name == "longtask-reporter":
            self.found.append(name)
            if name == "encodings.idna":
                reported.set()
            time.sleep(BUSY_SECONDS)


class SlowStream(io.RawIOBase):
    """Takes its time for each write, as a full pipe does."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        reported.set()
        if threading.current_thread() is not threading.main_thread():
            time.sleep(BUSY_SECONDS)
        return len(data)


def _exit_code_of_child(work: Callable[[], object]) -> int:
    """Fork, let the child do this, and return its exit code; -14 when it has not ended in time."""
    child = os.fork()
    if child == 0:
        signal.alarm(CHILD_SECONDS)
        code = 1
        with contextlib.suppress(BaseException):
            work()
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@longtask.task
def while_the_reporter_imports(ctx: longtask.Context) -> int:
    sys.meta_path.insert(0, Imports())
    ctx.progress(1)
    reported.wait(2)
    return _exit_code_of_child(lambda: ctx.artifact("of-the-child", b"abc"))


@longtask.task
def imports_of_the_reporter(ctx: longtask.Context) -> list[str]:
    imports = Imports()
    sys.meta_path.insert(0, imports)
    ctx.progress(1)
    ctx.checkpoint({"state": 1})
    time.sleep(4)  # longer than two tries
    return imports.found


def while_a_thread_writes() -> int:
    """A thread of ours writes to stderr, and a forked process does too."""
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(SlowStream()), line_buffering=True)
    threading.Thread(target=notice, args=("from a thread",)).start()
    assert reported.wait(60)
    return _exit_code_of_child(lambda: notice("from a child"))


@longtask.task
def contexts_of_the_reporter(ctx: longtask.Context) -> int:
    """How many TLS contexts are made once the work has begun: OpenSSL takes locks for each."""
    made: list[object] = []
    make = ssl.create_default_context

    def count(*given: Any, **more: Any) -> ssl.SSLContext:
        made.append(given)
        return make(*given, **more)

    ssl.create_default_context = count
    ctx.progress(1)
    time.sleep(4)
    return len(made)


@longtask.task
def while_the_reporter_shakes_hands(ctx: longtask.Context) -> int:
    """A step of the TLS handshake takes a lock of the process, as OpenSSL does."""
    lock, shake_hands = threading.Lock(), ssl.SSLSocket.do_handshake

    def step(sock: ssl.SSLSocket, block: bool = False) -> None:
        with lock:
            reported.set()
            time.sleep(0.05)  # much less than a fork waits, also on a busy machine
            shake_hands(sock, block)

    setattr(ssl.SSLSocket, "do_handshake", step)  # noqa: B010
    ctx.progress(1)
    assert reported.wait(60)
    return _exit_code_of_child(lock.acquire)


def while_a_thread_keeps_forks_out() -> int:
    """For longer than a fork waits."""
    done = threading.Event()

    def keep_out() -> None:
        with no_fork():
            reported.set()
            done.wait(60)

    threading.Thread(target=keep_out).start()
    assert reported.wait(60)
    code = _exit_code_of_child(lambda: notice("from a child"))
    done.set()
    return code


@longtask.task
def while_a_thread_holds_each_lock(ctx: longtask.Context) -> list[int]:
    """What a child does with each lock of the SDK that a thread of its parent holds."""
    backend: Any = ctx._backend
    held = [(ctx, "_lock"), (ctx._stop, "_changed"), *((backend, name) for name in ("_lock", "_asking"))]
    return [_code_while_held(ctx, owner, name) for owner, name in held if hasattr(owner, name)]


def _code_while_held(ctx: longtask.Context, owner: object, name: str) -> int:
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with getattr(owner, name):
            taken.set()
            done.wait(60)

    def use() -> None:
        with getattr(owner, name):
            ctx.log("from a child")

    threading.Thread(target=hold).start()
    assert taken.wait(60)
    code = _exit_code_of_child(use)
    done.set()
    return code


def forks_and_leaves(how: str) -> list[int]:
    """A child of os.fork that leaves the function: it is the parent that goes on to the end of the task."""
    codes = []
    for way in how.split():
        child = os.fork()
        if child == 0:
            if way == "exit":
                sys.exit(3)
            if way == "text":
                sys.exit("the child says why")
            if way == "raise":
                raise ValueError("the child fails")
            return [-1]
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return codes


async def forks_and_leaves_async(how: str) -> list[int]:
    return forks_and_leaves(how)


class Alive(io.TextIOBase):
    """Output is a sign of life."""

    def __init__(self, ctx: longtask.Context) -> None:
        self._ctx = ctx

    def write(self, text: str) -> int:
        time.sleep(0.01)
        self._ctx.heartbeat()
        return len(text)


@longtask.task
def reports_what_it_writes(ctx: longtask.Context) -> int:
    """With a task API that is away: the third try is told on stderr."""
    sys.stderr = Alive(ctx)
    until, lines = time.monotonic() + 6, 0
    while time.monotonic() < until:
        ctx.log("line")
        lines += 1
    return lines


def _fill_stderr() -> None:
    """Make stderr a pipe that nobody reads, and that is full."""
    reading, writing = os.pipe()
    globals()["kept"] = reading
    os.dup2(writing, 2)
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)


def leaves_a_thread_and_nobody_reads() -> int:
    _fill_stderr()
    threading.Thread(target=time.sleep, args=(600,)).start()
    return 7


@longtask.task
def asks_and_forks(ctx: longtask.Context) -> int | None:
    """The exit code of a process of a pool after a question that nobody has answered."""
    ctx.ask("Which?", schema=str, timeout=0.5, default="a")
    child = multiprocessing.get_context("fork").Process(target=os.getpid)
    child.start()
    child.join(20)
    code = child.exitcode
    child.kill()
    return code
