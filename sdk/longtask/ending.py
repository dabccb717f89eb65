"""Ends the process once the outcome of the work is recorded."""

import atexit
import gc
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from longtask.frames import LIBRARY, OURS
from longtask.stderr_log import notice

EXIT_SECONDS = 30.0
"""How long threads, processes and atexit functions that the work leaves behind may delay the exit, in seconds."""
SAY_SECONDS = 2.0
"""How long stderr may take for the notice about it, in seconds."""
_FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_COMPRESSED = (
    ("zipfile", "_ZipWriteFile"),
    ("zipfile", "ZipFile"),
    ("tarfile", "TarFile"),
    ("gzip", "GzipFile"),
    ("bz2", "BZ2File"),
    ("lzma", "LZMAFile"),
)
"""Classes that write a trailer when closed, as (module, name). A writer comes before those that it may write into."""


def end_within(seconds: float, code: int) -> None:
    """End the process with `code` after `seconds`; SIGTERM ends it at once.

    A notice says what delayed the exit, and child processes of multiprocessing are terminated. Python itself would wait
    for threads and processes without limit, and the outcome would never be seen.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(code))
    with suppress(RuntimeError):  # no more threads can be started
        threading.Thread(target=_end_after, args=(seconds, code), name="longtask-ending", daemon=True).start()


def end(code: int) -> NoReturn:
    """End the process with `code` as Python does, up to and including atexit functions and the flush of open files.

    Skips the teardown of modules and libraries that follows in Python: it may hang or crash, which would turn
    successful work into a failure. multiprocessing ends forked processes in the same way.
    """
    with suppress(KeyboardInterrupt):  # Ctrl-C: do not wait
        threading._shutdown()  # type: ignore[attr-defined]  # waits for non-daemon threads
    atexit._run_exitfuncs()
    _write_all()
    os._exit(code)


def _write_all() -> None:
    """Write the buffers of files that were left open, in Python and in C, as the interpreter's teardown would."""
    things = gc.get_objects()
    files = [sys.stdout, sys.stderr, *(each for each in things if type(each) in _FILES)]
    _each("flush", files)  # text layers pass their buffers on to compressing writers
    for module, name in _COMPRESSED:
        if kind := getattr(sys.modules.get(module), name, None):
            _each("close", [each for each in things if kind in type(each).__mro__])
    _each("flush", files)
    with suppress(Exception):  # Windows, or a Python without ctypes
        import ctypes  # noqa: PLC0415 - loaded after the work

        ctypes.CDLL(None).fflush(None)


def _each(method: str, things: list[Any]) -> None:
    for thing in things:
        with suppress(Exception):  # closed, broken, or None
            getattr(thing, method)()


def _end_after(seconds: float, code: int) -> None:
    time.sleep(seconds)
    try:
        children = list(_children())
        main = sys._current_frames().get(threading.main_thread().ident or 0)
        held = [*_threads(), *(f"process {child.name} (pid {child.pid})" for child in children)]
        # The main thread may be in an atexit function, or in asyncio's shutdown.
        if place := _place(main) or ("" if held else _place(main, anywhere=True)):
            held.append(f"the main thread{place}")
        _say(
            f"the work has ended, and its process would live on for: {'; '.join(held)}. "
            f"After {seconds:g} s it is ended with the work's exit code {code}: let the work wait for what it starts, "
            "as `with` does for a pool, or start daemon threads; LONGTASK_EXIT_SECONDS gives it longer"
        )
        for child in children:
            child.terminate()
    finally:
        os._exit(code)


def _say(text: str) -> None:
    """Write a notice, unless stderr takes none within SAY_SECONDS, as a full pipe does."""
    with suppress(RuntimeError):  # no more threads can be started
        saying = threading.Thread(target=notice, args=(text,), daemon=True)
        saying.start()
        saying.join(SAY_SECONDS)


def _threads() -> Iterator[str]:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            yield f"thread {thread.name}{_place(frames.get(thread.ident or 0))}"


def _children() -> Iterator[Any]:
    if multiprocessing := sys.modules.get("multiprocessing"):
        yield from multiprocessing.active_children()


def _place(frame: FrameType | None, *, anywhere: bool = False) -> str:
    """The innermost line outside of Python and the SDK, or of all code with `anywhere`; empty if there is none."""
    while frame is not None:
        file = frame.f_code.co_filename
        installed = "site-packages" in file or "dist-packages" in file
        theirs = not file.startswith((OURS, "<frozen ")) and (installed or not file.startswith(LIBRARY))
        if theirs or anywhere:
            return f" in {frame.f_code.co_name} ({file}:{frame.f_lineno})"
        frame = frame.f_back
    return ""
