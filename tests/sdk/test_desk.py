"""A task at a desk: what a person sees and types."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import longtask
from longtask import desk
from longtask.context import Context
from longtask.desk import Desk, progress_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Person:
    """Types on a terminal, and sees what is on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._screen = Terminal()

    @property
    def sees(self) -> str:
        return self._screen.getvalue()

    @contextmanager
    def types(self, text: str = "") -> Iterator[None]:
        # Within the test alone: pytest has its own stderr in each phase of a test.
        with self._monkeypatch.context() as patch:
            patch.setattr("sys.stdin", Terminal(text))
            patch.setattr("sys.stderr", self._screen)
            yield


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(monkeypatch)


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ({"current": 3, "total": 10, "unit": "epoch"}, "epoch 3/10 (30%)"),
        ({"current": 3, "message": "reading"}, "3 - reading"),
        ({"fraction": 0.5}, "50%"),
        ({"fraction": 0.5, "unit": "file"}, "file 50%"),
        ({"current": 12, "total": 10}, "12/10 (100%)"),
        ({"current": 0, "total": 0}, "0/0"),
        ({"message": "two\nlines"}, "two lines"),
        ({"current": 1.5, "metrics": {"loss": 0.25, "rows": 7}}, "1.5 - loss 0.25, rows 7"),
        ({"message": "starting"}, "starting"),
    ],
)
def test_progress_is_a_line(report: dict[str, Any], line: str) -> None:
    assert progress_line(report) == line


def test_on_a_terminal_one_line_is_written_anew(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "TERMINAL_PACE", 0)
    with person.types():
        host = Desk({})
        ctx = Context(host)
        ctx.progress(1, 2)
        ctx.log("a line of the log")
        ctx.progress(2, 2)
        host.finish(keep_checkpoint=False)
    assert person.sees == "\r1/2 (50%)\x1b[K\na line of the log\n\r2/2 (100%)\x1b[K\n"


def test_lines_come_at_a_pace_and_the_last_one_always(capsys: pytest.CaptureFixture[str]) -> None:
    host = Desk({})
    ctx = Context(host)
    for current in range(1, 1001):
        ctx.progress(current, 1000)
    host.finish(keep_checkpoint=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "1/1000 (0%)"
    assert lines[-1] == "1000/1000 (100%)"
    assert len(lines) < 10


def test_a_closed_stderr_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", closed)
        ctx = Context(Desk({}))
        closed.close()
        ctx.progress(1)
        ctx.log("nobody reads this")


@pytest.mark.parametrize(
    ("line", "options", "answer"),
    [
        ("price\n", {}, "price"),
        ('{"a": 1}\n', {}, {"a": 1}),
        ("3\n", {"schema": int}, 3),
        ("3\n", {"schema": str}, "3"),
        ("true\n", {"schema": bool}, True),
        ("\n", {"timeout": 60, "default": "name"}, "name"),
        ("", {"timeout": 60, "default": "name"}, "name"),
    ],
)
def test_a_question_is_answered_on_the_terminal(person: Person, line: str, options: Any, answer: Any) -> None:
    with person.types(line):
        assert Context(Desk({})).ask("Which column?", **options) == answer
    assert person.sees.startswith("Which column?\n")


def test_a_wrong_answer_is_an_error(person: Person) -> None:
    with person.types("many\n"), pytest.raises(longtask.InvalidAnswer):
        Context(Desk({})).ask("How many?", schema=int)


def test_a_terminal_that_is_closed_gives_no_answer(person: Person) -> None:
    with person.types(), pytest.raises(longtask.NoAnswer, match="the terminal was closed"):
        Context(Desk({})).ask("Which column?")


def test_without_a_terminal_the_default_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert Context(Desk({})).ask("Which column?", timeout=60, default="name") == "name"


@pytest.mark.parametrize("states", [[{"step": 1}, b"\x00"], [b"\x00", {"step": 1}], [{"step": 1}, {"step": 2}]])
def test_a_folder_keeps_the_newest_checkpoint(tmp_path: Path, states: list[Any]) -> None:
    environment = {"LONGTASK_DESK_DIR": str(tmp_path / "kept")}
    assert Context(Desk(environment)).resume() is None
    for state in states:
        assert Context(Desk(environment)).checkpoint(state)
    assert Context(Desk(environment)).resume() == states[-1]
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_without_a_folder_nothing_is_kept() -> None:
    ctx = Context(Desk({}))
    assert ctx.checkpoint({"step": 1}) is False
    assert ctx.resume() is None


def test_bytes_become_a_file_of_the_folder(tmp_path: Path) -> None:
    kept = Context(Desk({"LONGTASK_DESK_DIR": str(tmp_path)})).artifact("table.csv", b"a,b")
    assert kept.uri == (tmp_path / "table.csv").as_uri()
    assert (tmp_path / "table.csv").read_bytes() == b"a,b"


def test_a_desk_has_an_attempt_and_an_id_too() -> None:
    ctx = Context(Desk({}))
    ctx.heartbeat()
    assert (ctx.attempt, ctx.task_id) == (1, "local")
