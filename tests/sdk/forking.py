"""Work that forks while a thread of the SDK is busy."""

import contextlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import longtask
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
