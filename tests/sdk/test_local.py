"""A task at a desk: what a person sees and types."""

import io
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest

import longtask
from longtask import local
from longtask.context import Context
from longtask.local import MAX_QUESTIONS, LocalBackend, progress_line
from longtask.settings import BadSetting
from longtask.stop import Stop


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
    monkeypatch.setattr(local, "TERMINAL_PACE", 0)
    with person.types():
        backend = LocalBackend({})
        ctx = Context(backend)
        ctx.progress(1, 2)
        ctx.log("a line of the log")
        ctx.progress(2, 2)
        backend.finish(keep_checkpoint=False)
    assert person.sees == "\r1/2 (50%)\x1b[K\na line of the log\n\r2/2 (100%)\x1b[K\n"


def test_the_result_stands_below_the_progress(
    person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "TERMINAL_PACE", 1e9)
    with person.types():
        backend = LocalBackend({})
        ctx = Context(backend)
        ctx.progress(1, 2)
        ctx.progress(2, 2)
        backend.hand_in(b"7")
        assert person.sees == "\r1/2 (50%)\x1b[K\r2/2 (100%)\x1b[K\n"
    assert capsys.readouterr().out == "7\n"


def test_lines_come_at_a_pace_and_the_last_one_always(capsys: pytest.CaptureFixture[str]) -> None:
    backend = LocalBackend({})
    ctx = Context(backend)
    for current in range(1, 1001):
        ctx.progress(current, 1000)
    backend.finish(keep_checkpoint=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "1/1000 (0%)"
    assert lines[-1] == "1000/1000 (100%)"
    assert len(lines) < 10


def test_a_closed_stderr_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", closed)
        ctx = Context(LocalBackend({}))
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
        ('"3"\n', {"schema": str}, '"3"'),
        ("2026-01-31\n", {"schema": date}, date(2026, 1, 31)),
        ("true\n", {"schema": bool}, True),
        ("\n", {"timeout": 60, "default": "name"}, "name"),
        ("", {"timeout": 60, "default": "name"}, "name"),
    ],
)
def test_a_question_is_answered_on_the_terminal(person: Person, line: str, options: Any, answer: Any) -> None:
    with person.types(line):
        assert Context(LocalBackend({})).ask("Which column?", **options) == answer
    assert person.sees.startswith("Which column?\n")


@pytest.mark.parametrize(
    ("line", "options", "says"),
    [
        ("many\n3\n", {"schema": int}, "answer is 'many', and must be a whole number. Type another answer"),
        ('"3"\n3\n', {"schema": int}, "answer is '3', and must be a whole number"),
        ("3.5\n3\n", {"schema": {"type": "number", "multipleOf": 3}}, "answer is 3.5, and must be a multiple of 3"),
        ("c\n3\n", {"schema": Literal["a", "3"]}, "answer is 'c', and must be one of 'a', '3'"),
        ("NaN\n3\n", {"schema": {"type": "number"}}, "answer is 'NaN', and must be a number"),
        ("1e400\n3\n", {"schema": {"type": "number"}}, "answer is '1e400', and must be a number"),
        (f"{'[' * 4000}\n3\n", {"schema": int}, "characters), and must be a whole number"),
        ("\n3\n", {}, "answer is empty"),
        (f"{'x' * 4097}\n3\n", {}, "answer has 4097 characters, and must have at most 4096"),
        (
            "4\n3\n",
            {"schema": {"enum": [1, 3]}, "timeout": 60, "default": 1},
            "answer is 4, and must be one of 1, 3",
        ),
    ],
)
def test_who_answers_wrongly_is_told_why_and_may_answer_again(
    person: Person, line: str, options: Any, says: str
) -> None:
    with person.types(line):
        assert str(Context(LocalBackend({})).ask("How many?", **options)) == "3"
    assert says in person.sees


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"schema": Literal["a", "b"]}, ["one of: a, b"]),
        ({"schema": {"enum": [1, "x"]}}, ['one of: 1, "x"']),
        ({"schema": bool, "timeout": 60}, ["true or false", "[within 60 s]"]),
        ({"schema": int}, ['as JSON that fits {"type": "integer"}']),
        ({"schema": str}, ["text as it is, without quotes"]),
        ({"schema": date}, ['text as it is, without quotes, that fits {"format": "date"}']),
        ({"timeout": 60, "default": "x"}, ['[Enter, or nothing within 60 s: "x"]']),
    ],
)
def test_a_question_says_what_may_be_typed(person: Person, options: Any, lines: list[str]) -> None:
    with person.types(), suppress(longtask.NoAnswer):
        Context(LocalBackend({})).ask("Which?", **options)
    assert person.sees == "\n  ".join(["Which?", *lines]) + "\n"


class Silent(Terminal):
    """A terminal at which nobody types until they are told to."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.typed = threading.Event()

    def readline(self, *sizes: Any) -> Any:
        assert self.typed.wait(60)
        return super().readline(*sizes)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    terminal = Silent("late\nin time\n")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin", terminal)
        yield terminal
    terminal.typed.set()


@pytest.mark.usefixtures("silent")
def test_after_the_timeout_the_default_is_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert Context(LocalBackend({})).ask("Which?", timeout=0.01, default="name") == "name"
    assert 'nobody answered within 0.01 s, the default is taken: "name"' in capsys.readouterr().err


@pytest.mark.parametrize(("schema", "default"), [(bool, "x"), ({"type": "integer", "minimum": 1}, 0), (date, 5)])
def test_a_default_that_is_no_answer_is_refused_before_anybody_is_asked(schema: Any, default: Any) -> None:
    with pytest.raises(longtask.NoAnswer, match=r"the question cannot be asked: its default .*, or be None"):
        Context(LocalBackend({})).ask("Sure?", schema=schema, timeout=1, default=default)


def test_a_default_of_none_is_taken_whatever_the_schema() -> None:
    assert Context(LocalBackend({})).ask("Sure?", schema=bool, timeout=1, default=None) is None


@pytest.mark.usefixtures("silent")
def test_after_the_timeout_without_a_default_there_is_no_answer() -> None:
    with pytest.raises(longtask.NoAnswer, match="nobody answered q-"):
        Context(LocalBackend({})).ask("Which?", timeout=0.01)


def test_an_answer_that_comes_too_late_is_none_to_the_next_question(
    silent: Silent, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = LocalBackend({})
    ctx = Context(backend)
    assert ctx.ask("First?", timeout=0.01, default="x") == "x"
    silent.typed.set()
    while backend._keyboard._lines.empty():
        time.sleep(0.001)
    assert ctx.ask("Second?") == "in time"
    assert "'late' came too late for the question before, and is not taken for this one" in capsys.readouterr().err


@pytest.mark.usefixtures("silent")
def test_a_question_ends_when_the_work_shall_stop() -> None:
    stop = Stop()
    asking = threading.Timer(0.01, stop.set)
    asking.start()
    with pytest.raises(longtask.Cancelled):
        Context(LocalBackend({}, stop), stop).ask("Which?")
    asking.join()


def test_a_question_that_is_asked_again_has_the_first_answer(person: Person) -> None:
    with person.types("a\nb\n"):
        ctx = Context(LocalBackend({}))
        assert [ctx.ask("Which?", key="one"), ctx.ask("Which?", key="one")] == ["a", "a"]
        with pytest.raises(longtask.NoAnswer, match="one was asked before with other words"):
            ctx.ask("Which other?", key="one")


def test_there_are_as_many_questions_as_in_a_cluster(person: Person) -> None:
    with person.types("a\n" * 40):
        ctx = Context(LocalBackend({}))
        for _ in range(MAX_QUESTIONS):
            ctx.ask("Which?")
        with pytest.raises(longtask.NoAnswer, match="the task has asked 32 questions, more are not allowed"):
            ctx.ask("Which?")


def test_what_is_no_schema_is_told_before_anybody_is_asked(person: Person) -> None:
    with person.types("3\n"), pytest.raises(longtask.NoAnswer, match="its schema is none that can be read"):
        Context(LocalBackend({})).ask("How many?", schema={"type": "whole number"})
    assert person.sees == ""


def test_a_terminal_that_is_closed_gives_no_answer(person: Person) -> None:
    with person.types(), pytest.raises(longtask.NoAnswer, match="the terminal was closed"):
        Context(LocalBackend({})).ask("Which column?")


def test_without_a_terminal_the_default_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert Context(LocalBackend({})).ask("Which column?", timeout=60, default="name") == "name"
    assert 'there is no terminal to ask on, the default is taken: "name"' in capsys.readouterr().err


def test_without_a_stdin_the_default_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert Context(LocalBackend({})).ask("Which column?", timeout=60, default="name") == "name"


@pytest.mark.parametrize("states", [[{"step": 1}, b"\x00"], [b"\x00", {"step": 1}], [{"step": 1}, {"step": 2}]])
def test_a_folder_keeps_the_newest_checkpoint(tmp_path: Path, states: list[Any]) -> None:
    environment = {"LONGTASK_LOCAL_DIR": str(tmp_path / "kept")}
    assert Context(LocalBackend(environment)).resume() is None
    for state in states:
        assert Context(LocalBackend(environment)).checkpoint(state)
    assert Context(LocalBackend(environment)).resume() == states[-1]
    assert len(list((tmp_path / "kept").iterdir())) == 1


@pytest.mark.parametrize("content", [b"{", b"", b"\xff"])
def test_a_damaged_checkpoint_is_told_with_its_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint\.json is damaged \(.*\): correct it, or delete it to begin anew"):
        Context(LocalBackend({"LONGTASK_LOCAL_DIR": str(tmp_path)})).resume()


def test_artifacts_without_a_folder_share_one_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    ctx = Context(LocalBackend({}))
    folders = {Path(ctx.artifact(name, b"x").uri.removeprefix("file://")).parent for name in ("a", "b")}
    (folder,) = folders
    told = capsys.readouterr().err
    assert told == f"longtask: artifacts of this run are kept in {folder}; LONGTASK_LOCAL_DIR names another folder\n"
    shutil.rmtree(folder)


def test_without_a_folder_nothing_is_kept() -> None:
    ctx = Context(LocalBackend({}))
    assert ctx.checkpoint({"step": 1}) is False
    assert ctx.resume() is None


def test_bytes_become_a_file_of_the_folder(tmp_path: Path) -> None:
    kept = Context(LocalBackend({"LONGTASK_LOCAL_DIR": str(tmp_path)})).artifact("table.csv", b"a,b")
    assert kept.uri == (tmp_path / "artifacts" / "table.csv").as_uri()
    assert (tmp_path / "artifacts" / "table.csv").read_bytes() == b"a,b"


@pytest.mark.parametrize("name", ["checkpoint.json", "checkpoint.bin", "artifacts"])
def test_an_artifact_that_is_called_as_the_checkpoint_leaves_that_alone(tmp_path: Path, name: str) -> None:
    ctx = Context(LocalBackend({"LONGTASK_LOCAL_DIR": str(tmp_path)}))
    for state in ({"step": 1}, b"step 1"):
        ctx.checkpoint(state)
        kept = ctx.artifact(name, b"of the work's own")
        assert ctx.resume() == state
        assert Path(kept.uri.removeprefix("file://")).read_bytes() == b"of the work's own"


def test_a_folder_that_cannot_be_made_is_told_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        BadSetting, match=r"^LONGTASK_LOCAL_DIR is '/.*/file', and there is no such folder to be had \("
    ):
        LocalBackend({"LONGTASK_LOCAL_DIR": str(tmp_path / "file")})


def test_a_checkpoint_that_cannot_be_written_is_a_line_and_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ctx = Context(LocalBackend({"LONGTASK_LOCAL_DIR": str(tmp_path / "kept")}))
    shutil.rmtree(tmp_path / "kept")
    assert ctx.checkpoint({"step": 1}) is False
    assert capsys.readouterr().err.startswith(
        "longtask: the checkpoint is not kept in the folder of LONGTASK_LOCAL_DIR: "
    )


def test_checkpoints_of_several_threads_are_kept_one_after_the_other(tmp_path: Path) -> None:
    ctx = Context(LocalBackend({"LONGTASK_LOCAL_DIR": str(tmp_path)}))
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda step: ctx.checkpoint({"step": step}), range(400)))


def test_a_desk_has_an_attempt_and_an_id_too() -> None:
    ctx = Context(LocalBackend({}))
    ctx.heartbeat()
    assert (ctx.attempt, ctx.task_id) == (1, "local")
