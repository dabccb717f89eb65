"""What a task has of LongTask while it runs."""

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
from longtask.progress import Progress
from longtask.stop import Stop

if TYPE_CHECKING:
    from datetime import timedelta

T = TypeVar("T")

STORE_SECONDS = 60.0
"""How long `checkpoint(..., wait=True)` waits."""
MAX_QUESTION, MAX_SCHEMA, MAX_DEFAULT = 4096, 8192, 4096
"""Characters of a question, and of its schema and default as JSON, which the task API takes."""
_QUESTION_ID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_ARTIFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")

PROCESS = "LONGTASK_PROCESS"
"""The variable that tells processes which the work starts who runs the task: its pid."""

_current: ContextVar["Context | None"] = ContextVar("longtask_context", default=None)
_of_process: "list[Context]" = []
"""What threads see that the work starts: they inherit no ContextVar."""


class Context:
    """The task's side of LongTask. LongTask makes it; a task gets it as its first parameter, or by longtask.current().

    Every method may be called from any thread. `progress`, `heartbeat` and `checkpoint` return at once: a background
    thread sends, and only the newest that is not sent yet is kept. In processes that the work starts, by whatever way,
    they do nothing: two would overwrite each other's reports. `resume`, `ask`, `artifact` and `checkpoint(...,
    wait=True)` wait, in the thread that called: in an async task call them by asyncio.to_thread.
    """

    def __init__(self, backend: Backend, stop: Stop | None = None, *, reports: bool = True) -> None:
        self._backend = backend
        self._stop = stop or Stop()
        self._lock = threading.RLock()
        self._told = Progress()
        self._asked: dict[str, int] = {}
        self._attempt: int | None = None
        self._process = os.getpid() if reports else 0

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process it is the context that longtask.current() gives there."""
        return current, ()

    @property
    def task_id(self) -> str:
        """The id of the task; `local` outside of a pod."""
        return self._backend.task_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1. The first use asks the task API, as `resume` does; 0: not known."""
        if not self._attempt:
            self._attempt = self._backend.attempt()
        return self._attempt

    @property
    def cancelled(self) -> bool:
        """Whether SIGTERM has come: the task was cancelled or suspended, its time is over, or its pod has to go.

        A task that sees True has the pod's grace period (30 s unless the template says otherwise) to save its state
        and to leave by `raise_if_cancelled()`, or by returning nothing: both mean that the work is not done, and the
        process ends with 143. A value that it returns is a result, as ever.
        """
        if self._stop.is_set:
            self._stop.seen = True
        return self._stop.is_set

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if `cancelled`."""
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
        """Tell how far the work is: `current` of `total` units, or a fraction (0 to 1); a message; numbers to be seen.

        What is not given stays as it was told last, metrics each by itself. But a fraction replaces current and total,
        they replace a fraction, and another unit begins a new count. Numbers may be numpy's. What the task API would
        not take is left out with a line on stderr (NaN, a metric beyond 32), or cut with an ellipsis (a message beyond
        1,024 characters): nothing is raised.
        """
        if self._is_silent:
            return
        with self._lock:
            report = self._told.tell(
                fraction=fraction, current=current, total=total, message=message, unit=unit, metrics=metrics
            )
            self._backend.progress(report)

    def heartbeat(self) -> None:
        """Say that the work lives, where there is no progress to tell: for templates with a stall policy."""
        if not self._is_silent:
            self._backend.heartbeat()

    def checkpoint(self, state: Any, *, wait: bool = False) -> bool:
        """Save the state from which another attempt can go on: anything that could be a result, or bytes.

        With `wait`, return when it is stored, or after 60 s. Whether it is stored by then; it is tried further.
        Raises longtask.encode.Unencodable for what JSON cannot hold.
        """
        kept = State.of(state)
        return not self._is_silent and self._backend.checkpoint(kept, STORE_SECONDS if wait else 0.0)

    def resume(self) -> Any:
        """The state of the task's last checkpoint, in the types of JSON, or as bytes; None when there is none.

        Call it once, at the start. While the task API does not answer it is asked again for 5 minutes (environment
        variable LONGTASK_RESUME_SECONDS); then a line on stderr says so, and it is None. Raises Cancelled on SIGTERM.
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
        """Ask who started the task, and wait for the answer.

        `schema` is a type, to which the answer is converted, or a JSON Schema as a dict; any JSON is an answer without
        one. After `timeout` (seconds; without one it waits on) the answer is `default`. Each question is asked once in
        a task: another attempt that asks the same in the same order, or under the same `key`, gets the same answer.
        Give a key where the message differs from attempt to attempt.

        Raises NoAnswer on a timeout without a default, and where nobody can be asked; InvalidAnswer for one that does
        not fit; Cancelled on SIGTERM; ValueError for a question that cannot be asked.
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
        """Keep a file, or bytes, beside the result; one of the same name is replaced.

        `name` has at most 253 of A-Z a-z 0-9 . _ - and begins with a letter or digit. The file is streamed, and tried
        again for 10 minutes (environment variable LONGTASK_FLUSH_SECONDS). Outside of a pod a file stays where it is
        and the uri is file://. Raises ValueError, OSError for a file that cannot be read, NotDelivered.
        """
        from pathlib import Path  # noqa: PLC0415 - only who needs it pays for it

        if not _ARTIFACT_NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name of an artifact: use at most 253 of A-Z a-z 0-9 . _ -, a letter or digit first"
            )
        data = bytes(content) if isinstance(content, (bytes, bytearray, memoryview)) else Path(content)
        return self._backend.artifact(name, data, media_type)

    def log(self, message: str, **fields: Any) -> None:
        """Write one line to stderr: the message, or with fields a JSON object of `message` and the fields."""
        line = str(message)
        if fields:
            import json  # noqa: PLC0415

            line = json.dumps({"message": line, **fields}, ensure_ascii=False, default=str)
        self._backend.say(line.replace("\r", "\\r").replace("\n", "\\n"))

    @contextmanager
    def entered(self, *, everywhere: bool = False) -> Iterator[None]:
        """Within the block it is longtask.current(); with `everywhere` in all threads of the process."""
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
        """In another process than the task's own. Checked before any lock: one that forked may have got a lock that
        nobody opens."""
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
    """The context of the task that runs here; in a process that the work has started, one that reports nothing.

    Raises LookupError where no task runs.
    """
    context = running()
    if context is None:
        raise LookupError("no task runs here: call it, or use longtask.testing.recording in a test")
    return context


def running() -> Context | None:
    """The context of the task that runs here, if one does."""
    return _current.get() or (_of_process[-1] if _of_process else _of_child())


def _of_child() -> Context | None:
    """What a process has that the work has started, not by a fork: that would have got the context."""
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
    """How a type is written as JSON; None for a schema that is JSON already, or none."""
    if schema is None or isinstance(schema, dict):
        return None
    from longtask.json_types.annotations import Reader  # noqa: PLC0415

    return Reader("validation").json_type(schema, "schema")


def _check_sizes(schema: Any, default: Any) -> None:
    import json  # noqa: PLC0415 - only who needs it pays for it

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
