"""`python -m longtask run module:function`: runs a task, as the process of a container or locally."""

import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from longtask.backend import JSON, Backend, backend_for
from longtask.context import PROCESS, Context
from longtask.ending import EXIT_SECONDS, end_within
from longtask.errors import Cancelled, NotDelivered
from longtask.settings import LOCAL_FOLDER, BadSetting, seconds
from longtask.stderr_log import notice, write
from longtask.stop import Stop
from longtask.target import TargetError, load
from longtask.task import Task
from longtask.termination import MAX_MESSAGE, SAFE_MESSAGE, termination_log, write_message

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from longtask.encode import Unencodable

SUCCEEDED, FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143
"""Exit codes; the last two are those of a shell after SIGINT and SIGTERM."""
MESSAGE_SECONDS = 60.0
"""How long delivery to the task API is tried for a result that is also in the termination message, in seconds."""
MEASURE_SECONDS = 5.0
"""How long a local run checks a value against its schema, in seconds."""
REST = "unfit-result.json"
"""The artifact with the part of a result that JSON can hold, if the whole cannot be delivered."""


class _PlainFailure(Exception):
    """A failure whose message says all that the reader needs, without a traceback."""


class _LeftEarly(Exception):
    """The task saw that it is cancelled, and returned nothing."""


def run(target: str, environment: Mapping[str, str]) -> int:
    """Run the task `module:function` with the parameters in LONGTASK_PARAMETERS, and return the exit code.

    In a pod the result goes to the termination message if it has up to 4,095 bytes, and above 1,023 bytes to the task
    API; in a local run it goes to stdout. A failure goes to stderr, and its end to the termination message. SIGTERM
    sets ctx.cancelled and cancels an async task; before the task has begun, and the second time, it ends the process at
    once. Once the outcome is recorded the process ends within 30 s (LONGTASK_EXIT_SECONDS) with the work's exit code,
    even if the work has left threads or processes running.
    """
    _show_each_line()
    os.environ[PROCESS] = str(os.getpid())
    if folder := os.environ.get(LOCAL_FOLDER):  # the work and its processes may change directory
        os.environ[LOCAL_FOLDER] = os.path.abspath(folder)
    stop = Stop()
    try:
        exit_seconds = seconds(environment, "LONGTASK_EXIT_SECONDS", EXIT_SECONDS)
        backend = backend_for(environment, stop)
    except BadSetting as error:
        notice(str(error))
        _leave(termination_log(environment), str(error))
        return FAILED
    work = _Work(target, environment, backend, stop)
    with _sigterm(lambda: stop.set() if work.has_begun and not stop.is_set else os._exit(work.code)):
        code = work.exit_code()
        backend.finish(keep_checkpoint=code != SUCCEEDED)
    end_within(exit_seconds, code)
    work.close()
    return code


def _show_each_line() -> None:
    """Make stdout line-buffered, here and in Python processes of the work: a print is in the log at once, and is not
    lost in a kill. Python writes to a pipe in blocks of 8 KiB."""
    with suppress(AttributeError, ValueError):  # a replaced stdout, or none
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ["PYTHONUNBUFFERED"] = os.environ.get("PYTHONUNBUFFERED") or "1"


class _Work:
    """One run of a task, from its parameters to its exit code."""

    def __init__(self, target: str, environment: Mapping[str, str], backend: Backend, stop: Stop) -> None:
        self._target = target
        self._environment = environment
        self._log = termination_log(environment)
        self._backend = backend
        self._stop = stop
        self._task: Task[..., Any] | None = None
        self._runner: asyncio.Runner | None = None
        self.has_begun = False
        self.code = TERMINATED
        """The exit code if the process has to end now."""

    def exit_code(self) -> int:
        """Run the task, deliver its result or leave its failure, and return the exit code."""
        self.code = self._outcome()
        return self.code

    def close(self) -> None:
        """Close the event loop of an async task, with everything that is left in it."""
        try:
            if self._runner is not None:
                self._runner.close()
        except BaseException as error:  # anything left in the loop may raise; the outcome is recorded
            notice(f"what the work has left in its event loop failed at the end: {type(error).__name__}: {error}")

    def _outcome(self) -> int:
        try:
            self._hand_in(self._value())
        except _PlainFailure as error:
            self._backend.say(f"longtask: {error}")
            return self._ended(FAILED, str(error))
        except KeyboardInterrupt:
            self._stop.set()  # wakes threads of the work that wait for an answer
            return self._ended(INTERRUPTED, "interrupted by SIGINT")
        except BaseException as error:  # whatever the work raises is its failure
            if self._stop.is_set and _is_leaving(error, seen=self._stop.seen):
                return self._ended(TERMINATED, "stopped by SIGTERM before the work was done")
            return self._exited(error.code) if isinstance(error, SystemExit) else self._failed(error)
        return SUCCEEDED

    def _value(self) -> Any:
        task = self._task = self._loaded()
        arguments = self._arguments(task)
        context = Context(self._backend, self._stop)
        import longtask.encode  # noqa: F401, PLC0415 - not while the work may fork: a checkpoint needs it

        self.has_begun = True
        with context.entered(everywhere=True), _alone():
            if task.signature.is_async:
                value = self._awaited(task, context, arguments)
            else:
                value = task.call(context, **arguments)
        if value is None and self._stop.seen:
            raise _LeftEarly
        return value

    def _loaded(self) -> Task[..., Any]:
        try:
            found = load(self._target)
            return found if isinstance(found, Task) else Task(found)
        except TargetError as error:
            if error.__cause__ is not None:
                self._backend.say(_readable(error.__cause__))
            raise _PlainFailure(str(error)) from None
        except TypeError as error:
            raise _PlainFailure(f"{self._target}: {error}") from None

    def _arguments(self, task: Task[..., Any]) -> dict[str, Any]:
        """The parameters, decoded as the function's annotations require."""
        from longtask.fit import given, unfit  # noqa: PLC0415
        from longtask.signature import SignatureError  # noqa: PLC0415
        from longtask.values import BadValue, decode  # noqa: PLC0415

        name = task.function.__name__
        try:
            expected, found = self._environment.get("LONGTASK_SCHEMA_HASH"), task.signature.schema_hash()
            if expected and expected != found:
                raise _PlainFailure(
                    f"the template was made from other code: its schema hash is {expected}, and that of {name} in this "
                    f"image is {found}. Parameters or result have changed, or an older longtask made it. Run "
                    f"`longtask template {self._target} --update FILE` with this image, and apply the file"
                )
            parameters = json.loads(self._environment.get("LONGTASK_PARAMETERS") or "{}")
            if not isinstance(parameters, dict):
                raise _PlainFailure("LONGTASK_PARAMETERS is no JSON object: give {} or the parameters by name")
            is_local, schema = self._log is None, task.signature.parameters_schema()
            if is_local:  # as the operator does
                parameters = given(schema, parameters)
                if problem := unfit(parameters):
                    raise _PlainFailure(_refused(name, problem))
            arguments = decode(task.signature, parameters)
        except SignatureError as error:
            raise _PlainFailure(str(error)) from None
        except BadValue as error:
            raise _PlainFailure(f"LONGTASK_PARAMETERS do not fit {name}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise _PlainFailure(
                f"LONGTASK_PARAMETERS is no JSON ({error}): give {{}} or the parameters by name"
            ) from None
        if is_local and (problem := _misfit(schema, parameters, "")):
            raise _PlainFailure(_refused(name, problem))
        return arguments

    def _awaited(self, task: Task[..., Any], context: Context, arguments: Mapping[str, Any]) -> Any:
        import asyncio  # noqa: PLC0415 - loaded on demand

        async def work() -> Any:
            loop = asyncio.get_running_loop()
            running = asyncio.ensure_future(task.call(context, **arguments))

            def cancel() -> None:
                self._stop.seen = True
                loop.call_soon_threadsafe(running.cancel)

            with _woken_by_signals(loop), self._stop.interrupting(cancel):
                return await running

        # Not asyncio.run, which waits for leftover threads before it returns the value.
        self._runner = asyncio.Runner()
        try:
            return self._runner.run(work())
        except asyncio.CancelledError:
            if self._stop.is_set:
                raise Cancelled("SIGTERM came") from None
            raise

    def _hand_in(self, value: Any) -> None:
        from longtask.encode import Unencodable, encode  # noqa: PLC0415 - loaded after the work

        try:
            result = encode(value)
            if self._log is None:
                self._backend.hand_in(result)
                self._measure(result)
            elif value is not None:
                self._deliver(self._log, result)
        except Unencodable as error:
            self._ended(FAILED, str(error))
            raise _PlainFailure(f"{error}; {self._rest(value, error)}") from None
        except NotDelivered as error:
            raise _PlainFailure(str(error)) from None

    def _measure(self, result: bytes) -> None:
        """Fail a local run if the result does not fit its schema; in a pod the operator checks it."""
        schema = self._task and self._task.signature.result_schema()
        if schema and (problem := _misfit(schema, json.loads(result), "result")):
            raise _PlainFailure(
                f"the result does not fit its annotation: {problem}: "
                "the task would fail with InvalidResult; change the result or its annotation"
            )

    def _deliver(self, log: "Path", result: bytes) -> None:
        """Leave the result in the termination message if it fits there, and send it to the task API unless the message
        arrives complete in any pod."""
        left = len(result) <= MAX_MESSAGE and write_message(log, result)
        if left:
            self.code = SUCCEEDED
        if left and len(result) <= SAFE_MESSAGE:
            return
        if "LONGTASK_REPORT_URL" in self._environment:
            try:
                self._backend.hand_in(result, MESSAGE_SECONDS if left else math.inf)
            except NotDelivered as error:
                if not left:
                    raise
                notice(
                    f"{error}. It is left in the termination message, which arrives whole in a pod of at most "
                    f"{12288 // (len(result) + 1)} containers"
                )
        elif not left:
            raise NotDelivered(
                f"the result has {len(result)} bytes; {log} takes {MAX_MESSAGE} where it can be written, "
                "and without LONGTASK_REPORT_URL there is no other way: return less, or keep a file elsewhere"
            )

    def _rest(self, value: Any, error: "Unencodable") -> str:
        """Keep the part of a result that JSON can hold, because the work is done; returns where it is, as a
        sentence."""
        from longtask.encode import rest  # noqa: PLC0415

        kept = rest(value)
        if kept is None:
            return "nothing of it can be kept"
        try:
            uri = self._backend.artifact(REST, kept, JSON).uri
        except (NotDelivered, OSError) as problem:
            return f"the rest could not be kept either: {problem}"
        return f"the rest is kept as the artifact {REST} ({uri}), with null there, and keys as text"

    def _failed(self, error: BaseException) -> int:
        from longtask.failure import tail  # noqa: PLC0415 - loaded after the work

        self._backend.say(_readable(error))
        return self._ended(FAILED, tail(error))

    def _exited(self, code: Any) -> int:
        """End as Python does on SystemExit: a text is the message of a failure. A code other than 0 stays a failure."""
        if code is None or code == SUCCEEDED:
            return self._left_without_a_result()
        if not isinstance(code, int):
            self._backend.say(str(code))
            return self._ended(FAILED, str(code))
        kept = code & 0xFF
        if kept == code:
            return code
        # os.system and os.wait return the exit code of a program in the second byte.
        kept = kept or code >> 8 & 0xFF or FAILED
        text = (
            f"the work left with exit code {code}, and a system keeps 0 to 255 only: this ends with {kept}. "
            "If the code is of os.system or os.wait, os.waitstatus_to_exitcode tells the program's own"
        )
        self._backend.say(f"longtask: {text}")
        return self._ended(kept, text)

    def _left_without_a_result(self) -> int:
        try:
            self._hand_in(None)
        except _PlainFailure as error:
            self._backend.say(f"longtask: it left by sys.exit, so without a result: {error}")
            return self._ended(FAILED, str(error))
        return SUCCEEDED

    def _ended(self, code: int, message: str) -> int:
        _leave(self._log, message)
        return code


def _refused(name: str, problem: str) -> str:
    return f"LONGTASK_PARAMETERS do not fit {name}: {problem}: in a cluster they would be refused"


def _leave(log: "Path | None", message: str) -> None:
    if log is not None:
        write_message(log, message.replace("\0", "\\0").encode("utf-8", "replace")[:MAX_MESSAGE])


def _is_leaving(error: BaseException, *, seen: bool) -> bool:
    """Whether the error means that the task stopped because of SIGTERM; of a group, whether all its errors do."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_leaving(each, seen=seen) for each in error.exceptions)
    if isinstance(error, SystemExit):
        return seen and not error.code
    return isinstance(error, (Cancelled, _LeftEarly))


def _readable(error: BaseException) -> str:
    from longtask.failure import readable  # noqa: PLC0415 - loaded after the work

    return readable(error)


def _misfit(schema: dict[str, Any], value: Any, path: str) -> str | None:
    """How a value does not fit its schema; None also if the check fails or takes too long, as a pattern may for
    hours."""
    from longtask.fit import misfit  # noqa: PLC0415

    with suppress(Exception), _at_most(MEASURE_SECONDS):
        return misfit(schema, value, path)
    return None


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after `seconds`. For the main thread; a search of `re` lets signals in."""
    if not hasattr(signal, "setitimer"):  # Windows: there is still Ctrl-C
        yield
        return

    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _alone() -> Iterator[None]:
    """Within the block the work runs. A process that it forks, and that comes to the end of the block, ends there with
    the exit code of a program that ends so: what follows is for the process of the task alone."""
    process = os.getpid()
    code: Any = SUCCEEDED
    try:
        yield
    except BaseException as error:
        if os.getpid() == process:
            raise
        code = error.code if isinstance(error, SystemExit) else _readable(error)
    if os.getpid() == process:
        return
    if not isinstance(code, (int, type(None))):
        write(f"{code}\n")
        code = FAILED
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit((code or SUCCEEDED) & 0xFF)


@contextmanager
def _woken_by_signals(loop: "asyncio.AbstractEventLoop") -> Iterator[None]:
    """Within the block, a signal also wakes the loop if it arrives just before the loop begins to wait; its Python
    handler would only run after the wait (https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd)."""
    import socket  # noqa: PLC0415 - loaded on demand

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        try:
            loop.add_reader(ours, ours.recv, 4096)
        except NotImplementedError:  # Windows
            yield
            return
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(ours)


@contextmanager
def _sigterm(handle: Callable[[], object]) -> Iterator[None]:
    """Within the block, SIGTERM calls `handle` in the main thread; forked processes get the previous handler back."""
    before = signal.signal(signal.SIGTERM, lambda *_: handle())
    within = True

    def forked() -> None:
        if within:
            signal.signal(signal.SIGTERM, before)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forked)
    try:
        yield
    finally:
        within = False
        signal.signal(signal.SIGTERM, before)
