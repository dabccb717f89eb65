"""Runs tasks in tests: records what they report, and gives them a checkpoint and answers."""

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

from longtask.backend import ABSENT, Artifact, Question, State
from longtask.context import Context
from longtask.errors import NoAnswer
from longtask.local import kept_artifact
from longtask.stop import Stop


class Recording:
    """A Backend that reports nowhere and records what it receives.

    `checkpoint` is what `ctx.resume` returns, None for a first attempt. `answers` maps the key or the text of a
    question to its answer, as JSON. `ctx.task_id` is `local`.
    """

    task_id = "local"

    def __init__(self, checkpoint: Any = None, answers: Mapping[str, Any] | None = None) -> None:
        self._state = None if checkpoint is None else State.of(checkpoint)
        self._answers = answers or {}
        self._made: Path | None = None
        self.reports: list[dict[str, Any]] = []
        """Each progress as the task API would get it, complete: `fraction`, `current`, `total`, `message`, `unit`,
        `metrics`, as far as they were given."""
        self.checkpoints: list[Any] = []
        """Each state as `ctx.resume` would return it to the next attempt: in the types of JSON, or bytes."""
        self.questions: list[Question] = []
        """Each question of `ctx.ask`, with the timeout in seconds, and schema and default as JSON."""
        self.artifacts: list[Artifact] = []
        """Each artifact, with a file:// URI. Files made from bytes are deleted with the Recording."""
        self.lines: list[str] = []
        """Lines written by `ctx.log`."""
        self.heartbeats = 0
        """Number of heartbeats."""

    def attempt(self) -> int:
        """2 if there is a checkpoint to resume from, else 1."""
        return 1 if self._state is None else 2

    def progress(self, report: dict[str, Any]) -> None:
        """Append the report to `reports`."""
        self.reports.append(report)

    def heartbeat(self) -> None:
        """Count it in `heartbeats`."""
        self.heartbeats += 1

    def checkpoint(self, state: State, wait: float) -> bool:
        """Append the state to `checkpoints`. Returns True: it counts as stored."""
        self.checkpoints.append(state.value())
        return True

    def resume(self) -> State | None:
        """The checkpoint given to the Recording; those recorded since are not returned."""
        return self._state

    def ask(self, question: Question) -> Any:
        """Answer at once, by the question's key or its text; else ABSENT, so that the default applies. Raises NoAnswer
        if there is no default."""
        self.questions.append(question)
        answer = self._answers.get(question.id, self._answers.get(question.message, ABSENT))
        if answer is ABSENT and question.default is ABSENT:
            raise NoAnswer(f"{question.message!r} has no default: give longtask.testing.recording its answer")
        return answer

    def artifact(self, name: str, content: bytes | Path, media_type: str) -> Artifact:
        """Append the artifact to `artifacts`; bytes are written to a temporary folder. Raises OSError."""
        self.artifacts.append(kept_artifact(name, content, self._folder))
        return self.artifacts[-1]

    def say(self, line: str) -> None:
        """Append the line to `lines`."""
        self.lines.append(line)

    def hand_in(self, result: bytes, seconds: float = inf) -> None:
        """Does nothing: a test has the value itself."""

    def finish(self, *, keep_checkpoint: bool) -> None:
        """Does nothing: nothing is pending."""

    def _folder(self) -> Path:
        """A temporary folder for artifacts from bytes, deleted with the Recording."""
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="longtask-"))
            weakref.finalize(self, shutil.rmtree, self._made, ignore_errors=True)
        return self._made


@contextmanager
def recording(
    *, checkpoint: Any = None, answers: Mapping[str, Any] | None = None, cancelled: bool = False
) -> Iterator[Recording]:
    """Within the block, tasks that are called report to the Recording that it yields.

    `checkpoint` is what ctx.resume returns; `answers` maps a question's key or text to its answer; `cancelled` sets
    ctx.cancelled from the beginning, as SIGTERM would.
    """
    backend, stop = Recording(checkpoint, answers), Stop()
    if cancelled:
        stop.set()
    with Context(backend, stop).entered():
        yield backend
