"""The context of a task, with what longtask.testing records."""

import gc
import hashlib
import json
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest

import longtask
from longtask.encode import Unencodable
from longtask.testing import recording
from tests.sdk import work


class Column(Enum):
    PRICE = "price"
    NAME = "name"


def ctx() -> longtask.Context:
    return longtask.current()


def test_a_test_sees_what_a_task_told() -> None:
    with recording() as told:
        work.train.local(epochs=2)
    assert told.reports[-1] == {"current": 2, "total": 2, "message": "epoch 2", "unit": "epoch"}
    assert told.checkpoints == [{"epoch": 1}, {"epoch": 2}]


def test_a_test_gives_the_checkpoint_of_an_attempt_before() -> None:
    with recording(checkpoint={"epoch": 3}):
        assert ctx().resume() == {"epoch": 3}
        assert ctx().attempt == 2
    with recording():
        assert ctx().resume() is None
        assert ctx().attempt == 1


@pytest.mark.parametrize("state", [b"\x00\xff", {"epoch": 1, "days": ["2026-01-31"]}, [1, 2.5, None], "text"])
def test_a_state_comes_back_as_it_was_saved(state: Any) -> None:
    with recording() as told:
        assert ctx().checkpoint(state)
    with recording(checkpoint=told.checkpoints[0]):
        assert ctx().resume() == state


def test_a_state_that_json_cannot_hold_is_refused_by_its_path() -> None:
    with recording(), pytest.raises(Unencodable, match=r"^checkpoint\.loss is NaN"):
        ctx().checkpoint({"loss": float("nan")})


def test_a_test_plays_sigterm() -> None:
    with recording(cancelled=True):
        assert ctx().cancelled
        with pytest.raises(longtask.Cancelled):
            ctx().raise_if_cancelled()
    with recording():
        assert not ctx().cancelled
        ctx().raise_if_cancelled()


def test_except_exception_does_not_hold_up_a_cancelled_task() -> None:
    assert not issubclass(longtask.Cancelled, Exception)


@pytest.mark.parametrize(
    ("schema", "answer", "expected"),
    [
        (None, {"any": ["JSON"]}, {"any": ["JSON"]}),
        ({"type": "integer"}, 3, 3),
        (bool, True, True),
        (date, "2026-01-31", date(2026, 1, 31)),
        (Column, "price", Column.PRICE),
        (Literal["a", "b"], "b", "b"),
        (list[int] | None, None, None),
    ],
)
def test_an_answer_has_the_type_that_was_asked_for(schema: Any, answer: Any, expected: Any) -> None:
    with recording(answers={"Which column?": answer}) as told:
        assert ctx().ask("Which column?", schema=schema) == expected
    assert told.questions[0].message == "Which column?"


def test_a_type_is_asked_for_as_a_schema() -> None:
    with recording(answers={"Which column?": "price"}) as told:
        ctx().ask("Which column?", schema=Column)
    assert told.questions[0].schema == {"type": "string", "enum": ["price", "name"]}


@pytest.mark.parametrize(("schema", "answer"), [(bool, "yes"), (Column, "cost"), (date, "tomorrow")])
def test_an_answer_that_does_not_fit_is_an_error(schema: Any, answer: Any) -> None:
    with recording(answers={"Which column?": answer}), pytest.raises(longtask.InvalidAnswer, match="does not fit"):
        ctx().ask("Which column?", schema=schema)


def test_without_an_answer_the_default_is_taken_as_it_was_given() -> None:
    with recording() as told:
        assert ctx().ask("Which column?", schema=Column, timeout=timedelta(hours=1), default=Column.NAME) is Column.NAME
    assert (told.questions[0].timeout, told.questions[0].default) == (3600.0, "name")


def test_none_is_a_default() -> None:
    with recording():
        assert ctx().ask("Which column?", timeout=1, default=None) is None


def test_without_an_answer_and_a_default_there_is_none() -> None:
    with recording(), pytest.raises(longtask.NoAnswer, match=r"longtask\.testing\.recording"):
        ctx().ask("Which column?")


def test_a_question_has_the_same_id_in_another_attempt() -> None:
    ids = []
    for _ in range(2):
        with recording(answers={"A?": 1, "B?": 2}) as told:
            for message in ("A?", "B?", "A?"):
                ctx().ask(message)
        ids.append([question.id for question in told.questions])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3
    digest = hashlib.sha256(b"A?").hexdigest()[:10]
    assert (ids[0][0], ids[0][2]) == (f"q-{digest}-1", f"q-{digest}-2")


def test_a_key_is_the_id_of_a_question() -> None:
    with recording(answers={"column": "price"}) as told:
        assert ctx().ask("Which of 12 columns?", key="column") == "price"
    assert told.questions[0].id == "column"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"message": ""}, "1 to 4096 characters"),
        ({"message": "x" * 4097}, "1 to 4096 characters"),
        ({"key": "my column"}, "is no key"),
        ({"key": "-"}, "is no key"),
        ({"key": "x" * 65}, "is no key"),
        ({"default": 1}, "give a timeout"),
        ({"timeout": 0}, "above 0"),
        ({"timeout": float("inf")}, "above 0"),
        ({"timeout": 1, "default": float("nan")}, "default is NaN"),
        ({"timeout": 1, "default": "x" * 4095}, "the default of a question has at most 4096 characters as JSON, this "),
        ({"schema": {"enum": ["x" * 8192]}}, "the schema of a question has at most 8192 characters as JSON, this one "),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(options: dict[str, Any], says: str) -> None:
    with recording(), pytest.raises(ValueError, match=says):
        ctx().ask(**{"message": "Which column?", **options})


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "x" * 254, "a b"])
def test_a_name_that_no_artifact_can_have_is_refused(name: str) -> None:
    with recording(), pytest.raises(ValueError, match="is no name of an artifact"):
        ctx().artifact(name, b"x")


def test_an_artifact_outside_of_a_pod_stays_a_file(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    with recording() as told:
        kept = ctx().artifact("model", str(tmp_path / "model.bin"))
        made = ctx().artifact("table.csv", b"a,b", "text/csv")
    assert (kept.name, kept.uri) == ("model", (tmp_path / "model.bin").as_uri())
    assert (kept.size, kept.sha256) == (7, hashlib.sha256(b"weights").hexdigest())
    assert Path(made.uri.removeprefix("file://")).read_bytes() == b"a,b"
    assert told.artifacts == [kept, made]


def test_artifacts_of_a_test_share_a_folder_that_goes_with_the_recording() -> None:
    with recording() as told:
        folders = {Path(ctx().artifact(name, b"x").uri.removeprefix("file://")).parent for name in ("a", "b")}
    (folder,) = folders
    assert sorted(each.name for each in folder.iterdir()) == ["a", "b"]
    del told
    gc.collect()
    assert not folder.exists()


def test_a_missing_file_is_no_artifact(tmp_path: Path) -> None:
    with recording(), pytest.raises(FileNotFoundError):
        ctx().artifact("model", tmp_path / "missing")


def test_a_line_of_the_log_is_one_line() -> None:
    with recording() as told:
        ctx().log("two\nlines")
        ctx().log("row read", row=17, day=date(2026, 1, 31))
    assert told.lines[0] == "two\\nlines"
    assert json.loads(told.lines[1]) == {"message": "row read", "row": 17, "day": "2026-01-31"}


def test_a_heartbeat_is_recorded() -> None:
    with recording() as told:
        ctx().heartbeat()
    assert told.heartbeats == 1
