"""The Context, through which a running task uses LongTask."""

import math
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, overload

from longtask.backend import ABSENT, BYTES, Artifact, Backend, Question, State, backend_for
from longtask.errors import Cancelled, InvalidAnswer, NoAnswer
from longtask.forks import now_and_in_forks
from longtask.progress import Progress
from longtask.stop import Stop

if TYPE_CHECKING:
    from datetime import timedelta

T = TypeVar("T")

STORE_SECONDS = 60.0
"""How long `checkpoint(..., wait=True)` waits, in seconds."""
MAX_QUESTION, MAX_SCHEMA, MAX_DEFAULT = 4096, 8192, 4096
"""Limits of the task API: characters of a question, and of its schema and default as JSON."""
_QUESTION_ID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_ARTIFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")

PROCESS = "LONGTASK_PROCESS"
"""The environment variable with the pid of the process that runs the task, for processes that the work starts."""

_current: ContextVar["Context | None"] = ContextVar("longtask_context", default=None)
_of_process: "list[Context]" = []
"""For threads that the work starts: they inherit no ContextVar."""


class Context:
    """A task's access to LongTask, which creates it: the first parameter of the task, or longtask.current().

    Every method may be called from any thread. `progress`, `heartbeat` and `checkpoint` return at once: a background
    thread sends the newest of each, and drops older ones that were not sent yet. In processes that the work starts
    these three do nothing, because the processes would overwrite each other's reports. `resume`, `ask`, `artifact`,
    `checkpoint(..., wait=True)` and the first use of `attempt` block the calling thread: in an async task call them by
    asyncio.to_thread.

    In a pod all of this goes to the task API. In a local run progress is on stderr, questions are on the terminal, and
    LONGTASK_LOCAL_DIR names a folder for checkpoints and artifacts. In a test longtask.testing.recording records it.
    """

    def __init__(self, backend: Backend, stop: Stop | None = None, *, reports: bool = True) -> None:
        self._backend = backend
        self._stop = stop or Stop()
        now_and_in_forks(self, Context._make_locks)
        self._told = Progress()
        self._asked: dict[str, int] = {}
        self._attempt: int | None = None
        self._process = os.getpid() if reports else 0

    def _make_locks(self) -> None:
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a call of longtask.current(): another process gets its own context."""
        return current, ()

    @property
    def task_id(self) -> str:
        """The id of the task; `local` outside of a pod."""
        return self._backend.task_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1; 0 if it is unknown. Always 1 in a local run.

        The first use asks the task API, and waits as long as `resume`. Raises Cancelled on SIGTERM.
        """
        if not self._attempt:
            self._attempt = self._backend.attempt()
        return self._attempt

    @property
    def cancelled(self) -> bool:
        """Whether SIGTERM has arrived: the task was cancelled or suspended, a deadline passed, or the pod has to go.

        A task that sees True has the pod's grace period (30 s unless the template sets another) to save its state and
        to leave, with `raise_if_cancelled()` or by returning None: both mean that the work is not done, and the process
        exits with 143. Any other value that it returns is its result, as always.
        """
        if self._stop.is_set:
            self._stop.seen = True
        return self._stop.is_set

    def raise_if_cancelled(self) -> None:
        """Raise longtask.Cancelled if `cancelled`."""
        if self.cancelled:
            raise Cancelled("SIGTERM came")

    def progress(
        self,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
        *,
        fraction: float | None = None,
        unit: str | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Report how far the work is: `current` of `total` units, or a `fraction` (0 to 1); a message; numbers to show.

        Arguments that are not given keep their last value, and so does each metric. But a fraction replaces current and
        total, they replace a fraction, and a new `unit` starts a new count. Numbers may be numpy's. Nothing is raised:
        what the task API would not accept is left out with a line on stderr (NaN, metrics beyond 32) or cut (a message
        beyond 1,024 characters, a unit beyond 32). Call it as often as you like; in a pod, status shows the newest
        about every 5 seconds.
        """
        if self._is_silent:
            return
        with self._lock:
            report = self._told.tell(
                fraction=fraction, current=current, total=total, message=message, unit=unit, metrics=metrics
            )
            self._backend.progress(report)

    def heartbeat(self) -> None:
        """Report that the work is alive when there is no progress to report: for templates with a stall policy."""
        if not self._is_silent:
            self._backend.heartbeat()

    def checkpoint(self, state: Any, *, wait: bool = False) -> bool:
        """Save the state from which another attempt can resume: anything that could be a result, or bytes.

        Returns whether it is stored by now. Without `wait` that is usually False in a pod, where it is sent in the
        background; with `wait` the call returns once it is stored, or after 60 s, and sending continues. A local run
        stores it only if LONGTASK_LOCAL_DIR is set. Raises longtask.encode.Unencodable for what JSON cannot hold.
        """
        kept = State.of(state)
        return not self._is_silent and self._backend.checkpoint(kept, STORE_SECONDS if wait else 0.0)

    def resume(self) -> Any:
        """The state of the last checkpoint, in the types of JSON (a tuple is a list) or as bytes; None without one.

        Call it once, at the start. In a pod it waits for the task API up to 5 minutes (environment variable
        LONGTASK_RESUME_SECONDS); then a line on stderr says so, and it returns None. Raises Cancelled on SIGTERM. A
        local run reads it from LONGTASK_LOCAL_DIR, and raises ValueError if the file is damaged.
        """
        state = self._backend.resume()
        return None if state is None else state.value()

    @overload
    def ask(
        self,
        message: str,
        *,
        schema: type[T],
        timeout: "float | timedelta | None" = None,
        default: T = ...,
        key: str | None = None,
    ) -> T: ...
    @overload
    def ask(
        self,
        message: str,
        *,
        schema: object = None,
        timeout: "float | timedelta | None" = None,
        default: Any = ...,
        key: str | None = None,
    ) -> Any: ...
    def ask(
        self,
        message: str,
        *,
        schema: object = None,
        timeout: "float | timedelta | None" = None,
        default: Any = ABSENT,
        key: str | None = None,
    ) -> Any:
        """Ask the agent or person who started the task, and wait for the answer.

        `schema` is a type, to which the answer is converted, or a JSON Schema as a dict; without one any JSON is an
        answer. After `timeout` (seconds or a timedelta; None: no limit but the task's deadline) the answer is
        `default`. Each question is asked once per task: another attempt that asks the same message in the same order,
        or under the same `key`, gets the same answer. Give a key if the message differs between attempts.

        A local run asks on the terminal; without a terminal it takes the default at once.

        Raises NoAnswer after a timeout without a default, and if the question cannot be asked; InvalidAnswer for an
        answer that does not fit; Cancelled on SIGTERM; ValueError for an invalid question; TypeError for a type that
        JSON cannot hold.
        """
        if not message or len(message) > MAX_QUESTION:
            raise ValueError(f"a question has 1 to {MAX_QUESTION} characters, this one {len(message)}: make it shorter")
        seconds = _seconds(timeout)
        if default is not ABSENT and seconds is None:
            raise ValueError("a default is taken when nobody answers in time: give a timeout too")
        json_type = _json_type(schema)
        json_schema = json_type.schema() if json_type else schema
        if json_schema is not None and not isinstance(json_schema, dict):
            raise ValueError("schema is a type, or a JSON Schema as a dict")
        plain_default = _plain(default)
        _check_sizes(json_schema, plain_default)
        question = Question(self._question_id(message, key), message, json_schema, seconds, plain_default)
        answer = self._backend.ask(question)
        if answer is ABSENT:
            if default is ABSENT:
                raise NoAnswer(f"nobody answered {question.id} in time: {message}")
            return default
        return _decoded(json_type, answer, question.id)

    def artifact(self, name: str, content: "str | os.PathLike[str] | bytes", media_type: str = BYTES) -> Artifact:
        """Store a file, or bytes, beside the result; an artifact of the same name is replaced.

        `name` has at most 253 of A-Z a-z 0-9 . _ - and begins with a letter or digit. `content` is bytes, or the path
        of a file, which is streamed. In a pod the upload is retried for 10 minutes (environment variable
        LONGTASK_FLUSH_SECONDS). In a local run a file stays where it is, bytes go to LONGTASK_LOCAL_DIR or a temporary
        folder, and the uri is file://. Raises ValueError for an invalid name, OSError for a file that cannot be read,
        and NotDelivered.
        """
        from pathlib import Path  # noqa: PLC0415 - loaded on demand

        if not _ARTIFACT_NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name of an artifact: use at most 253 of A-Z a-z 0-9 . _ -, a letter or digit first"
            )
        data = bytes(content) if isinstance(content, (bytes, bytearray, memoryview)) else Path(content)
        return self._backend.artifact(name, data, media_type)

    def log(self, message: str, **fields: Any) -> None:
        """Write one line to stderr, line breaks escaped: the message, or with fields a JSON object of `message` and
        fields."""
        line = str(message)
        if fields:
            import json  # noqa: PLC0415

            line = json.dumps({"message": line, **fields}, ensure_ascii=False, default=str)
        self._backend.say(line.replace("\r", "\\r").replace("\n", "\\n"))

    @contextmanager
    def entered(self, *, everywhere: bool = False) -> Iterator[None]:
        """Make longtask.current() return this context in the block; with `everywhere`, in all threads."""
        token = _current.set(self)
        if everywhere:
            _of_process.append(self)
        try:
            yield
        finally:
            _current.reset(token)
            if everywhere:
                _of_process.remove(self)

    @property
    def _is_silent(self) -> bool:
        """Whether this is another process than the task's own. Checked before any lock is taken: a forked process may
        have inherited a locked one that no thread releases."""
        return os.getpid() != self._process

    def _question_id(self, message: str, key: str | None) -> str:
        if key is not None:
            if not _QUESTION_ID.fullmatch(key):
                raise ValueError(
                    f"{key!r} is no key: use 1 to 64 of A-Z a-z 0-9 . _ -, with a letter or digit at both ends"
                )
            return key
        import hashlib  # noqa: PLC0415

        with self._lock:
            ordinal = self._asked[message] = self._asked.get(message, 0) + 1
        return f"q-{hashlib.sha256(message.encode()).hexdigest()[:10]}-{ordinal}"


def current() -> Context:
    """The context of the running task. In a process that the work has started it sends no reports and no checkpoints.

    Raises LookupError if no task is running.
    """
    context = running()
    if context is None:
        raise LookupError("no task runs here: call it, or use longtask.testing.recording in a test")
    return context


def running() -> Context | None:
    """The context of the running task, or None."""
    return _current.get() or (_of_process[-1] if _of_process else _of_child())


def _of_child() -> Context | None:
    """The context in a process that the work has started, unless by fork: a forked process inherits its context."""
    processes = sys.modules.get("multiprocessing.process")
    parent = processes.parent_process() if processes else None
    runner = os.environ.get(PROCESS)
    if parent is None and (runner is None or runner == str(os.getpid())):
        return None
    stop = Stop()
    _of_process.append(Context(backend_for(os.environ, stop), stop, reports=False))
    return _of_process[-1]


def _seconds(timeout: "float | timedelta | None") -> float | None:
    if timeout is None:
        return None
    seconds = float(timeout if isinstance(timeout, (int, float)) else timeout.total_seconds())
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"a timeout is a number of seconds above 0, not {timeout}")
    return seconds


def _json_type(schema: object) -> Any:
    """The JSON type of a Python type; None for a JSON Schema, and without a schema."""
    if schema is None or isinstance(schema, dict):
        return None
    from longtask.json_types.annotations import Reader  # noqa: PLC0415

    return Reader("validation").json_type(schema, "schema")


def _check_sizes(schema: Any, default: Any) -> None:
    import json  # noqa: PLC0415 - loaded on demand

    for what, value, limit in (("schema", schema, MAX_SCHEMA), ("default", default, MAX_DEFAULT)):
        size = 0 if value is None or value is ABSENT else len(json.dumps(value, ensure_ascii=False))
        if size > limit:
            raise ValueError(f"the {what} of a question has at most {limit} characters as JSON, this one {size}")


def _plain(default: Any) -> Any:
    if default is ABSENT:
        return ABSENT
    from longtask.encode import plain  # noqa: PLC0415

    return plain(default, "default")


def _decoded(json_type: Any, answer: Any, question_id: str) -> Any:
    if json_type is None:
        return answer
    from longtask.json_types.base import BadValue  # noqa: PLC0415

    try:
        return json_type.decode(answer, "")
    except BadValue as error:
        raise InvalidAnswer(f"the answer to {question_id} does not fit: {error}") from None
