"""The backend of a local run: progress on stderr, the result on stdout, questions on the terminal."""

import hashlib
import json
import os
import select
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TextIO

from longtask.backend import ABSENT, BYTES, JSON, Artifact, Question, State
from longtask.errors import Cancelled, NoAnswer, NotDelivered
from longtask.fit import misfit
from longtask.forks import now_and_in_forks
from longtask.settings import LOCAL_FOLDER, BadSetting
from longtask.stderr_log import notice, notice_once, write
from longtask.stop import Stop

TERMINAL_PACE, LINE_PACE = 0.1, 2.0
"""Seconds between two updates of the progress: of one line that is rewritten, and of lines below each other."""

SIGNAL_PACE = 1.0
"""Seconds within which a signal is handled that arrived just before a wait and so did not end it."""

ARTIFACTS = "artifacts"
"""Subfolder for artifacts, because one may have the name of the checkpoint."""

MAX_QUESTIONS, MAX_ANSWER = 32, 4096
"""Limits of the task API: questions of a task, characters of an answer."""


class LocalBackend:
    """The backend of a local run. LONGTASK_LOCAL_DIR is a folder that keeps checkpoints and artifacts between runs.

    Raises BadSetting if the folder cannot be made.
    """

    task_id = "local"

    def __init__(self, environment: Mapping[str, str], stop: Stop | None = None) -> None:
        self._folder = _folder(environment)
        self._made: Path | None = None
        self._keyboard = _Keyboard(stop or Stop())
        self._answers: dict[str, tuple[str, Any]] = {}
        self._stdout = _Stdout(sys.stdout)
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        now_and_in_forks(self, LocalBackend._make_locks)
        self._shown_at = float("-inf")
        self._waiting: str | None = None
        self._open_line = False

    def _make_locks(self) -> None:
        self._lock = threading.RLock()
        self._asking = threading.Lock()

    def attempt(self) -> int:
        """Always 1."""
        return 1

    def progress(self, report: dict[str, Any]) -> None:
        """Show the report as a line on stderr; some are skipped (see TERMINAL_PACE), but not the last."""
        with self._lock:
            self._waiting = progress_line(report)
            if time.monotonic() >= self._shown_at + (TERMINAL_PACE if self._terminal else LINE_PACE):
                self._show()

    def heartbeat(self) -> None:
        """Does nothing: a local run cannot stall."""

    def checkpoint(self, state: State, wait: float) -> bool:
        """Replace the checkpoint in the folder. Returns False without a folder, or if it cannot be written."""
        if self._folder is None:
            return False
        kept = _checkpoint_file(self._folder, state.media_type)
        new = kept.with_suffix(f".{os.getpid()}")
        try:
            with self._lock:
                new.write_bytes(state.content)
                new.replace(kept)
                for media_type in {JSON, BYTES} - {state.media_type}:
                    _checkpoint_file(self._folder, media_type).unlink(missing_ok=True)
        except OSError as error:
            notice_once(f"the checkpoint is not kept in the folder of {LOCAL_FOLDER}: {error}")
            return False
        return True

    def resume(self) -> State | None:
        """The checkpoint in the folder; None without one. Raises ValueError if it is damaged."""
        for media_type in (JSON, BYTES):
            if self._folder and (kept := _checkpoint_file(self._folder, media_type)).exists():
                state = State(kept.read_bytes(), media_type)
                try:
                    state.value()
                except ValueError as error:
                    raise ValueError(f"{kept} is damaged ({error}): correct it, or delete it to begin anew") from None
                return state
        return None

    def ask(self, question: Question) -> Any:
        """Ask on the terminal. As with the task API, the first answer that fits counts, also when the question is asked
        again. Raises NoAnswer, Cancelled."""
        with self._asking:
            message, answer = self._answers.get(question.id, (question.message, None))
            if message != question.message:
                raise NoAnswer(f"{question.id} was asked before with other words: give this question another key")
            if question.id not in self._answers:
                if len(self._answers) >= MAX_QUESTIONS:
                    raise NoAnswer(f"the task has asked {MAX_QUESTIONS} questions, more are not allowed: ask fewer")
                answer = self._answer(question)
                self._answers[question.id] = (question.message, answer)
            return answer

    def artifact(self, name: str, content: bytes | Path, media_type: str) -> Artifact:
        """Keep a file where it is, and bytes in the folder, else in a temporary one. Raises OSError."""
        return kept_artifact(name, content, self._artifacts)

    def say(self, line: str) -> None:
        """Write a line to stderr, below the progress."""
        with self._lock:
            self._close_line()
            write(f"{line}\n")

    def hand_in(self, result: bytes, seconds: float = inf) -> None:
        """Write the result to stdout, as the last line. Raises NotDelivered."""
        self.finish(keep_checkpoint=False)
        try:
            self._stdout.write_line(result)
        except (OSError, ValueError) as error:
            raise NotDelivered(f"the result cannot be written to stdout: {error}") from None

    def finish(self, *, keep_checkpoint: bool) -> None:
        """Show the last progress, if it was skipped. The checkpoint always stays."""
        with self._lock:
            if self._waiting is not None:
                self._show()
            self._close_line()

    def _answer(self, question: Question) -> Any:
        """Read answers until one fits; ABSENT after the timeout, or if the default is taken."""
        has_default = question.default is not ABSENT
        taken = f"the default is taken: {json.dumps(question.default)}" if has_default else "there is no default"
        _probe(question)
        if not _has_keyboard():
            if not has_default:
                raise NoAnswer(f"{question.message!r} has no default and there is no terminal to ask on: run it in one")
            self.say(f"{question.message}\n  there is no terminal to ask on, {taken}")
            return ABSENT
        self.say(_shown(question))
        until = inf if question.timeout is None else time.monotonic() + question.timeout
        self._keyboard.forget(self.say)
        while (line := self._keyboard.line(until)) is not None:
            if has_default and not line.strip():
                return ABSENT
            if not line:
                raise NoAnswer(f"{question.message!r}: the terminal was closed")
            answer, problem = _typed(line.strip(), question.schema)
            if problem is None:
                return answer
            self.say(f"  {problem}. Type another answer")
        self.say(f"  nobody answered within {question.timeout:g} s, {taken}")
        return ABSENT

    def _artifacts(self) -> Path:
        """The folder for artifacts from bytes: a temporary one of this run if none is configured."""
        if self._folder is not None:
            return self._folder / ARTIFACTS
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="longtask-"))
            notice(f"artifacts of this run are kept in {self._made}; {LOCAL_FOLDER} names another folder")
        return self._made

    def _show(self) -> None:
        write(f"\r{self._waiting}\x1b[K" if self._terminal else f"{self._waiting}\n")
        self._open_line = self._terminal
        self._waiting, self._shown_at = None, time.monotonic()

    def _close_line(self) -> None:
        if self._open_line:
            write("\n")
            self._open_line = False


def progress_line(report: Mapping[str, Any]) -> str:
    """A report as one line: `epoch 3/10 (30%) - learning - loss 0.25`."""
    current, total, fraction = report.get("current"), report.get("total"), report.get("fraction")
    if fraction is None and current is not None and total:
        fraction = min(max(current / total, 0), 1)
    count = "" if current is None else f"{current:g}" if total is None else f"{current:g}/{total:g}"
    share = "" if fraction is None else f"({fraction:.0%})" if count else f"{fraction:.0%}"
    metrics = ", ".join(f"{name} {value:g}" for name, value in report.get("metrics", {}).items())
    counted = " ".join(part for part in (report.get("unit"), count, share) if part)
    return " - ".join(part.replace("\n", " ") for part in (counted, report.get("message", ""), metrics) if part)


def kept_artifact(name: str, content: bytes | Path, folder: Callable[[], Path]) -> Artifact:
    """The artifact as a local file: a path where it is, bytes in `folder()`. Raises OSError."""
    if isinstance(content, Path):
        path = content.resolve(strict=True)
    else:
        path = folder().resolve() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(name, path.as_uri(), path.stat().st_size, sha256)


def _folder(environment: Mapping[str, str]) -> Path | None:
    name = environment.get(LOCAL_FOLDER)
    if not name:
        return None
    try:
        Path(name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(
            f"{LOCAL_FOLDER} is {name!r}, and there is no such folder to be had ({error}): name another"
        ) from None
    return Path(name)


def _checkpoint_file(folder: Path, media_type: str) -> Path:
    return folder / ("checkpoint.json" if media_type == JSON else "checkpoint.bin")


class _Stdout:
    """The stdout from before the work, which may close or replace it. Watches what is written, so that the result
    begins on a new line."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._descriptor: int | None = None
        self._line_has_ended = True
        with suppress(AttributeError, OSError, ValueError):  # none, closed, or no file
            self._descriptor = os.dup(stream.fileno())  # type: ignore[union-attr]
        if stream is not None:
            self._watch(stream)

    def write_line(self, content: bytes) -> None:
        """Write a line below what was printed, always in UTF-8. Raises OSError, ValueError."""
        for each in (sys.stdout, self._stream):
            with suppress(AttributeError, OSError, ValueError):
                each.flush()  # type: ignore[union-attr]
        line = (b"" if self._line_has_ended else b"\n") + content + b"\n"
        if self._descriptor is not None:
            with open(self._descriptor, "wb", closefd=False) as file:
                file.write(line)
        elif self._stream is not None:
            self._stream.write(line.decode())
            self._stream.flush()
        else:
            raise OSError("it was closed from the beginning")

    def _watch(self, stream: TextIO) -> None:
        write = stream.write

        def watched(text: str) -> int:
            self._line_has_ended = text.endswith("\n") if text else self._line_has_ended
            return write(text)

        with suppress(AttributeError):  # an object whose write cannot be replaced
            stream.write = watched  # type: ignore[method-assign]


class _Keyboard:
    """Typed lines. A thread reads them: a read cannot be interrupted, but waiting for it can, also by a signal."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._lines: SimpleQueue[str | None] = SimpleQueue()  # safe in a signal handler
        self._is_reading = False

    def line(self, until: float) -> str | None:
        """The next line, empty at end of file; None after `until`, a time of time.monotonic. Raises Cancelled."""
        if not self._is_reading:
            self._is_reading = True
            threading.Thread(target=self._read, args=(sys.stdin,), name="longtask-keyboard", daemon=True).start()
        with self._stop.interrupting(lambda: self._lines.put(None)):
            while (left := until - time.monotonic()) > 0:
                with suppress(Empty):
                    line = self._lines.get(timeout=min(left, SIGNAL_PACE))
                    if line is None:
                        raise Cancelled("the work shall stop, and a question was open")
                    self._is_reading = False
                    return line
        return None

    def forget(self, tell: Callable[[str], object]) -> None:
        """Discard lines that were typed after the previous question timed out; `tell` gets a message for each."""
        with suppress(Empty):
            while (line := self._lines.get_nowait()) is not None:
                self._is_reading = False
                tell(f"  {line.strip()!r} came too late for the question before, and is not taken for this one")

    def _read(self, terminal: TextIO) -> None:
        line = ""
        with suppress(OSError, ValueError):  # on Windows
            select.select([terminal], [], [])  # not in readline, with a lock that a forked process would wait for
        with suppress(OSError, ValueError):  # closed
            line = terminal.readline()
        self._lines.put(line)


def _has_keyboard() -> bool:
    with suppress(AttributeError, ValueError):  # closed
        return sys.stdin.isatty()
    return False


def _probe(question: Question) -> None:
    """Raise NoAnswer for an invalid schema, or a default that does not fit it, before the question is shown."""
    schema, has_default = question.schema or {}, question.default is not ABSENT and question.default is not None
    try:
        misfit(schema, None)
        problem = misfit(schema, question.default, "its default") if has_default else None
    except Exception as error:  # the schema may be any JSON
        name = f"{type(error).__name__}: {error}"
        raise NoAnswer(f"the question cannot be asked: its schema is none that can be read ({name})") from None
    if problem is not None:
        raise NoAnswer(f"the question cannot be asked: {problem}, or be None")


def _shown(question: Question) -> str:
    """The question as text, with the valid answers and what applies without one."""
    schema = question.schema or {}
    lines = [question.message]
    if "enum" in schema:
        is_text = schema.get("type") == "string"
        lines.append(f"one of: {', '.join(each if is_text else json.dumps(each) for each in schema['enum'])}")
    elif schema.get("type") == "boolean":
        lines.append("true or false")
    elif schema.get("type") == "string":
        rest = {key: value for key, value in schema.items() if key not in ("type", "title", "description")}
        fitting = f", that fits {json.dumps(rest, ensure_ascii=False)}" if rest else ""
        lines.append(f"text as it is, without quotes{fitting}")
    elif schema:
        lines.append(f"as JSON that fits {json.dumps(schema, ensure_ascii=False)}")
    if question.default is not ABSENT:
        lines.append(f"[Enter, or nothing within {question.timeout:g} s: {json.dumps(question.default)}]")
    elif question.timeout is not None:
        lines.append(f"[within {question.timeout:g} s]")
    return "\n  ".join(lines)


def _typed(text: str, schema: Mapping[str, Any] | None) -> tuple[Any, str | None]:
    """A typed answer as JSON or text, whichever fits, text first if the schema asks for it; and why neither fits."""
    if len(text) > MAX_ANSWER:
        return text, f"answer has {len(text)} characters, and must have at most {MAX_ANSWER}"
    if not text and schema is None:
        return text, "answer is empty"
    candidates: list[Any] = [text]
    with suppress(ValueError, RecursionError):
        spelt = json.loads(text)
        json.dumps(spelt, allow_nan=False)  # Python also reads NaN and 1e400
        candidates.insert((schema or {}).get("type") == "string", spelt)
    problems = [misfit(dict(schema or {}), each, "answer") for each in candidates]
    fitting = [each for each, problem in zip(candidates, problems, strict=True) if problem is None]
    return (fitting[0], None) if fitting else (candidates[0], problems[0])
