"""For tests of tasks: what a task tells its context, and what it is told."""

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
    """A Host that reports nowhere and keeps what it is told."""

    task_id = "local"

    def __init__(self, checkpoint: Any = None, answers: Mapping[str, Any] | None = None) -> None:
        self._state = None if checkpoint is None else State.of(checkpoint)
        self._answers = answers or {}
        self._made: Path | None = None
        self.reports: list[dict[str, Any]] = []
        """Each progress as the task API would get it: whole."""
        self.checkpoints: list[Any] = []
        """Each state as the next attempt would get it."""
        self.questions: list[Question] = []
        self.artifacts: list[Artifact] = []
        self.lines: list[str] = []
        """What ctx.log wrote."""
        self.heartbeats = 0

    def attempt(self) -> int:
        return 1 if self._state is None else 2

    def progress(self, report: dict[str, Any]) -> None:
        self.reports.append(report)

    def heartbeat(self) -> None:
        self.heartbeats += 1

    def checkpoint(self, state: State, wait: float) -> bool:
        self.checkpoints.append(state.value())
        return True

    def resume(self) -> State | None:
        return self._state

    def ask(self, question: Question) -> Any:
        self.questions.append(question)
        answer = self._answers.get(question.id, self._answers.get(question.message, ABSENT))
        if answer is ABSENT and question.default is ABSENT:
            raise NoAnswer(f"{question.message!r} has no default: give longtask.testing.recording its answer")
        return answer

    def artifact(self, name: str, content: bytes | Path, media_type: str) -> Artifact:
        self.artifacts.append(kept_artifact(name, content, self._folder))
        return self.artifacts[-1]

    def say(self, line: str) -> None:
        self.lines.append(line)

    def hand_in(self, result: bytes, seconds: float = inf) -> None:
        """A test has the value itself."""

    def finish(self, *, keep_checkpoint: bool) -> None:
        """Nothing is held."""

    def _folder(self) -> Path:
        """For artifacts that are bytes; it goes when the Recording does."""
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="longtask-"))
            weakref.finalize(self, shutil.rmtree, self._made, ignore_errors=True)
        return self._made


@contextmanager
def recording(
    *, checkpoint: Any = None, answers: Mapping[str, Any] | None = None, cancelled: bool = False
) -> Iterator[Recording]:
    """Within the block tasks that are called tell their context to the Recording.

    `checkpoint` is what ctx.resume gives; `answers` are by a question's key or its text; `cancelled` is ctx.cancelled.
    """
    backend, stop = Recording(checkpoint, answers), Stop()
    if cancelled:
        stop.set()
    with Context(backend, stop).entered():
        yield backend
