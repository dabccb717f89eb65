"""Tasks that the tests run; the processes import it as `work`."""

import asyncio
import atexit
import concurrent.futures
import functools
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import Process
from pathlib import Path
from typing import Any

import longtask

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it


def started() -> None:
    """Tell the test that the work has begun."""
    Path(os.environ["STARTED"]).touch()


@dataclass
class Report:
    loss: float
    epochs: int


@longtask.task
def train(ctx: longtask.Context, epochs: int = 2) -> Report:
    """Trains."""
    for epoch in range(1, epochs + 1):
        ctx.progress(epoch, epochs, f"epoch {epoch}", unit="epoch")
        ctx.checkpoint({"epoch": epoch})
    return Report(0.25, epochs)


@longtask.task
def say(text: str) -> str:
    print("a line of the work's own")
    return text


@longtask.task
async def wait_a_moment() -> int:
    await asyncio.sleep(0)
    longtask.current().progress(1, 1)
    return 7


@longtask.task
def move(ctx: longtask.Context, to: str) -> list[str]:
    """Changes to another folder; where its artifact is, and that of a Python that it starts."""
    os.chdir(to)
    ctx.checkpoint({"in": to})
    code = "import longtask; print(longtask.current().artifact('b', b'b').uri)"
    child = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    return [
        uri.strip().removeprefix("file://").rpartition("/artifacts/")[0]
        for uri in (ctx.artifact("a", b"a").uri, child.stdout)
    ]


@longtask.task
def large(ctx: longtask.Context, size: int) -> str:
    return "x" * (size - 2)


@longtask.task
def fail(ctx: longtask.Context) -> None:
    ctx.progress(1, 2)
    ctx.checkpoint({"row": 17})
    price(17)


@longtask.task
async def fail_later() -> None:
    await asyncio.sleep(0)
    price(18)


def price(row: int) -> None:
    raise ValueError(f"row {row} has no price")


@longtask.task
def give(kind: str) -> Any:
    return {"nan": {"epochs": 3, "metrics": {"loss": float("nan")}}, "bytes": b"x", "none": None}[kind]


@longtask.task
def leave(how: str) -> int:
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "cancelled":
        raise longtask.Cancelled
    sys.exit({"zero": 0, "three": 3, "none": None, "text": "the disk is full"}[how])


@longtask.task
def leave_with(code: int) -> None:
    """Ends as a caller of os.system does."""
    sys.exit(code)


@longtask.task
def leave_behind(what: str, fails: bool = False) -> dict[str, int]:
    """Returns, or raises, while something that it started would live on for ten minutes."""
    match what:
        case "pool":
            concurrent.futures.ThreadPoolExecutor(1, "left-pool").submit(time.sleep, 600)
        case "processes":
            concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")).submit(time.sleep, 600)
        case "thread":
            threading.Thread(target=time.sleep, args=(600,), name="left-thread").start()
        case "process":
            multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), name="left-process").start()
        case "queue":
            unread: Any = multiprocessing.Queue()
            unread.put("x" * 10_000_000)
        case "atexit":
            atexit.register(slow_goodbye)
    if fails:
        price(19)
    return {"done": 1}


LEFT: list[Any] = []
"""What nothing else holds."""


class TakenApart:
    """As libraries of graphics cards do it: hangs or crashes when Python takes its module apart."""

    def __init__(self, how: str) -> None:
        self._how, self._wait, self._crash = how, time.sleep, os.abort

    def __del__(self) -> None:
        if self._how == "hangs":
            self._wait(600)
        else:
            self._crash()


@longtask.task
def end_badly(how: str, file: str) -> dict[str, int]:
    """Returns, and its library breaks when the process ends; a file is left open, with text that is not written."""
    global library, unclosed  # noqa: PLW0603 - what a module holds until the end
    library = TakenApart(how)
    unclosed = open(file, "w")  # noqa: SIM115
    unclosed.write("the last line")
    return {"done": 1}


@longtask.task
def leave_a_thread_running() -> dict[str, int]:
    """Returns while a thread that is no daemon runs, which tells when the process waits for it."""

    def left() -> None:
        while threading.main_thread().is_alive():
            time.sleep(0.01)
        started()
        time.sleep(600)

    threading.Thread(target=left).start()
    return {"done": 1}


library: TakenApart
unclosed: Any


def slow_goodbye() -> None:
    time.sleep(600)


@longtask.task
async def leave_a_thread_behind() -> dict[str, int]:
    """asyncio.run would wait for that thread, and only then give the value."""
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    await asyncio.sleep(0)
    return {"done": 1}


@longtask.task
async def leave_a_failing_task_behind() -> dict[str, int]:
    """Another async task ends the process when the event loop ends it."""

    async def left() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            sys.exit("out of order")

    LEFT.append(asyncio.create_task(left()))
    await asyncio.sleep(0)
    return {"done": 1}


@longtask.task
def print_and_die(how: str) -> None:
    """Prints, and dies without a word of Python's."""
    print("file 4 has 900 million rows")
    if how == "live":
        started()
        time.sleep(600)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "child":
        subprocess.run([sys.executable, "-c", "import os; print('of a child'); os._exit(3)"], check=False)
    os._exit(3)


@longtask.task
def promise(what: str) -> dict[str, datetime]:
    """Returns what its annotation does not promise."""
    if what == "leave":
        sys.exit(0)
    return {"naive": {"at": datetime(2026, 1, 31, 18, 30)}, "nothing": None, "text": "x"}[what]  # type: ignore[return-value] # noqa: DTZ001


@longtask.task
def large_until_stopped(ctx: longtask.Context, size: int) -> str:
    """Returns its result when it shall stop."""
    started()
    while not ctx.cancelled:
        time.sleep(0.01)
    return "x" * (size - 2)


@longtask.task
def until_stopped(ctx: longtask.Context, then: str) -> int | None:
    """Works until it sees that it shall stop, and then leaves one way or another."""
    ctx.progress(1, 10)
    started()
    while not ctx.cancelled:
        time.sleep(0.01)
    if then == "raise":
        ctx.checkpoint({"step": 1})
        ctx.raise_if_cancelled()
    if then == "exit":
        sys.exit()
    if then == "fail":
        raise RuntimeError("could not stop")
    return 42 if then == "result" else None


@longtask.task
def deaf(ctx: longtask.Context) -> int:
    """Does not look whether it shall stop."""
    started()
    while True:
        time.sleep(0.01)


@longtask.task
def finish_anyway(ctx: longtask.Context) -> None:
    """Gets SIGTERM, does not look, and does its work."""
    os.kill(os.getpid(), signal.SIGTERM)


@longtask.task
async def sleep_long(ctx: longtask.Context, then: str) -> int:
    started()
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        ctx.checkpoint({"asleep": True})
        if then == "result":
            return 42
        raise
    return 0


@longtask.task
async def leave_together(ctx: longtask.Context) -> None:
    """Async tasks of a group that look whether they shall stop."""

    async def part() -> None:
        while not ctx.cancelled:
            started()
            time.sleep(0.01)  # noqa: ASYNC251 - work that does not give way
        ctx.raise_if_cancelled()

    async with asyncio.TaskGroup() as group:
        group.create_task(part())


@longtask.task
def ask(ctx: longtask.Context) -> Any:
    started()
    return ctx.ask("Which column?", key="column")


@longtask.task
async def ask_in_a_thread(ctx: longtask.Context) -> Any:
    """As async work asks."""
    started()
    return await asyncio.to_thread(ctx.ask, "Which column?")


@longtask.task
def take_stdout(how: str) -> str:
    """Prints, and does with stdout what programs do."""
    print("begun", end="", flush=True)
    if how == "replaced":
        sys.stdout = io.StringIO()
    elif how == "closed":
        sys.stdout.close()
    elif how == "detached":
        sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="utf-8")  # type: ignore[union-attr]
    elif how == "wrapped for a while":
        io.TextIOWrapper(sys.stdout.buffer).write("")
    return "ü"


def told_in_another_thread() -> None:
    """The main thread waits, and its wait is not ended: as by a signal that comes just before the wait begins."""

    def tell() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    threading.Timer(0.5, tell).start()


@longtask.task
async def sleep_unwoken(ctx: longtask.Context) -> None:
    told_in_another_thread()
    await asyncio.sleep(600)


@longtask.task
def ask_unwoken(ctx: longtask.Context) -> Any:
    told_in_another_thread()
    return ctx.ask("Which column?", key="column")


@longtask.task
def print_a_part() -> int:
    """Leaves a line that has not ended."""
    print("rows: 7", end="")
    return 7


@longtask.task
def end_child(ctx: longtask.Context) -> int | None:
    """Ends a forked process that has reported, as multiprocessing does it: by SIGTERM."""
    ctx.progress(1, 2)

    def child() -> None:
        ctx.progress(2, 2)
        started()
        time.sleep(600)

    process = Process(target=child)
    process.start()
    while not Path(os.environ["STARTED"]).exists():
        time.sleep(0.01)
    process.terminate()
    process.join(20)
    return process.exitcode


def part(number: int) -> int:
    """Deep in the work: in the process of a pool it reports nothing, and fails nothing."""
    ctx = longtask.current()
    ctx.progress(number, 3, unit="part")
    ctx.heartbeat()
    assert not ctx.checkpoint({"part": number})
    assert not ctx.cancelled
    return number


def part_with(tell: Callable[[int, int], None], number: int) -> int:
    tell(number, 3)
    return number


@longtask.task
def square(ctx: longtask.Context, number: int) -> int:
    """A task that is called as a part of another one."""
    ctx.progress(number)
    return number * number


@functools.wraps(square)
def kept(*arguments: Any, **parameters: Any) -> Any:
    """As a decorator above the task makes it."""
    return square(*arguments, **parameters)


@longtask.task
def fan_out(ctx: longtask.Context, method: str) -> dict[str, Any]:
    """Uses the processes of a pool, started in each way that Python has."""
    ctx.progress(1, 2)
    method_context: Any = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, method_context) as pool:
        return {
            "current": list(pool.map(part, range(3))),
            "method": list(pool.map(part_with, [ctx.progress] * 2, range(2))),
            "task": list(pool.map(square, range(3))),
            "name": pool.submit(attributes, ctx).result(),
            "artifact": pool.submit(keep, "made-by-a-child").result(),
        }


def attributes(ctx: longtask.Context) -> str:
    return ctx.task_id


def keep(name: str) -> int:
    return longtask.current().artifact(name, b"abc").size


def generates() -> Iterator[int]:
    """Is no task, which is told when it is run."""
    yield 1


@longtask.task
def run_a_program() -> int:
    """Starts another Python, which uses the same code."""
    code = "import longtask; longtask.current().progress(7); print(longtask.current().task_id)"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode
