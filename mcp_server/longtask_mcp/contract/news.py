"""News of a caller's tasks since a cursor: what ended, asked a question or stalled. Pure.

A cursor is made of what stands in the objects, so any server can continue from it: a position in the order of times
that LongTask wrote, and marks of the items after that position that were already reported. The position stays
OVERLAP behind the newest item, because writers' clocks differ a little.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_api.reports import InputRequest
from longtask_mcp.contract.answers import Answer, ended, sentence
from longtask_mcp.contract.callers import Caller, session
from longtask_mcp.contract.errors import BadArguments
from longtask_mcp.contract.known import ended_at
from longtask_mcp.contract.own import OwnTasks
from longtask_mcp.contract.questions import entry, how_to_answer, open_questions, quoted
from longtask_mcp.contract.structured_content import next_step, step
from longtask_mcp.contract.task_status import shortened, stall, status_word

OVERLAP = timedelta(seconds=30)
RECENT = timedelta(minutes=10)
"""Without a cursor, ended tasks are news for this long."""
MAX_ITEMS = 20
MAX_MARKS = 300
MAX_CURSOR = 4096
SHOWN_CHARACTERS = 1000
"""Of the text of one item."""

Kind = Literal["ended", "question", "stalled"]


class Place(NamedTuple):
    """The position of an item in the order of news."""

    second: int
    """Unix time."""
    mark: str = ""
    """First 8 hex digits of the SHA-256 of the item's id."""


@dataclass(frozen=True)
class Item:
    """One piece of news. Its id is always the same."""

    kind: Kind
    id: str
    at: datetime
    task: LongTask
    question: InputRequest | None = None

    @property
    def place(self) -> Place:
        """Its position."""
        return Place(int(self.at.timestamp()), hashlib.sha256(self.id.encode()).hexdigest()[:8])


@dataclass(frozen=True)
class Cursor:
    """What was reported: everything up to `floor`, and the items at `later`."""

    floor: Place
    later: tuple[Place, ...] = ()

    def is_new(self, item: Item) -> bool:
        """Whether an item has not been reported."""
        return item.place > self.floor and item.place not in self.later

    def after(self, reported: Sequence[Item], more: bool) -> "Cursor":
        """The cursor once these items, in their order, are reported as well; `more` follow."""
        marks = sorted({*self.later, *(item.place for item in reported)})
        floor = self.floor
        if marks:
            floor = max(floor, Place(marks[-1].second - int(OVERLAP.total_seconds())))
        if len(marks) > MAX_MARKS:
            floor = max(floor, marks[-MAX_MARKS - 1])
        if more:
            floor = min(floor, reported[-1].place)
        return Cursor(floor, tuple(mark for mark in marks if mark > floor)[-MAX_MARKS:])

    def __str__(self) -> str:
        places = [f"{self.floor.second:x}.{self.floor.mark}"]
        places += [f"{each.second - self.floor.second:x}.{each.mark}" for each in self.later]
        return "_".join(places)


_PLACE = re.compile(r"([0-9a-f]{1,9})\.([0-9a-f]{8}|)")


def read_cursor(text: str) -> Cursor:
    """The cursor that a previous answer gave. Raises BadArguments."""
    found = [_PLACE.fullmatch(each) for each in text.split("_")]
    places = [Place(int(each[1], 16), each[2]) for each in found if each is not None]
    if len(places) < len(found) or len(text) > MAX_CURSOR:
        raise BadArguments("cursor: not one that wait_any gave; leave it out to begin with what is open now")
    floor, *later = places
    return Cursor(floor, tuple(Place(floor.second + each.second, each.mark) for each in later))


def first_cursor(now: datetime) -> Cursor:
    """The cursor of a caller that has none."""
    return Cursor(Place(int((now - RECENT).timestamp())))


def of_all(own: OwnTasks, caller: Caller, everything: bool, cursor: Cursor | None, now: datetime) -> list[Item]:
    """The news of the caller's session, or of all its sessions with `everything`; the oldest first.

    Without a cursor: what is open now, and what ended a moment ago.
    """
    ours = None if everything else caller.session_id
    since = cursor if cursor is not None else first_cursor(now)
    unfinished = unfinished_of(own, caller, everything)
    lately = (own.ended(ours) if ours is not None else own.ended()).since(
        datetime.fromtimestamp(since.floor.second, UTC)
    )
    items = [item for task in (*unfinished, *lately) for item in _items(task)]
    return _sorted(item for item in items if since.is_new(item) or (cursor is None and item.kind != "ended"))


def unfinished_of(own: OwnTasks, caller: Caller, everything: bool) -> list[LongTask]:
    """The tasks that have not ended, chosen as for `of_all`."""
    ours = None if everything else caller.session_id
    return [task for task in own.unfinished if ours is None or session(task) == ours]


def of_some(tasks: Collection[LongTask], cursor: Cursor | None) -> list[Item]:
    """The news of these tasks; without a cursor also of those that ended long ago."""
    items = (item for task in tasks for item in _items(task))
    return _sorted(item for item in items if cursor is None or cursor.is_new(item))


def answer(items: list[Item], cursor: Cursor | None, going_on: int, now: datetime) -> Answer:
    """What is reported now, and the cursor for the next call; `going_on` tasks have not ended."""
    shown, more = items[:MAX_ITEMS], len(items) - MAX_ITEMS
    begun = cursor if cursor is not None else first_cursor(now)
    following = str(begun.after(shown, more > 0))
    call = f"wait_any(cursor={quoted(following)})"
    lines = [_line(item, now) for item in shown] or ["No news."]
    if more > 0:
        lines.append(f"{more} more: call {call} at once.")
    elif going_on:
        lines.append(f"{going_on} task{'s' * (going_on != 1)} not ended. To wait on, call {call}.")
    else:
        lines.append("No task is left that has not ended.")
    content = {
        "news": [_entry(item, now) for item in shown],
        "more": max(0, more),
        "unfinished": going_on,
        "cursor": following,
    }
    again = {"next": {"tool": "wait_any", "arguments": {"cursor": following}, "after_seconds": 0}}
    return Answer("\n".join(lines), content | (again if more > 0 or going_on else {}))


def _sorted(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item.place)


def _items(task: LongTask) -> Iterator[Item]:
    uid = task.metadata.uid
    if task.is_terminal:
        yield Item("ended", f"{uid}/ended", ended_at(task), task)
        return
    for question in open_questions(task):
        yield Item("question", f"{uid}/question/{question.id}", question.created_time, task, question)
    quiet = stall(task)
    if quiet is not None:
        since = quiet.last_transition_time
        yield Item("stalled", f"{uid}/stalled/{rfc3339(since)}", since, task)


def _line(item: Item, now: datetime) -> str:
    head = f"{item.task.metadata.uid} {item.task.spec.template_ref.name}:"
    return f"{head} {_text(item, now)}"


def _text(item: Item, now: datetime) -> str:
    return shortened(_whole_text(item, now), SHOWN_CHARACTERS)


def _whole_text(item: Item, now: datetime) -> str:
    if item.question is not None:
        return f"asks {quoted(item.question.message)}. {how_to_answer(item.task, item.question, now)}"
    if item.kind == "stalled":
        quiet = stall(item.task)
        return f"stalled: {sentence(quiet.message if quiet is not None else '')} check_task_status has more."
    return f"{ended(item.task)} get_task_results has the rest."


def _entry(item: Item, now: datetime) -> dict[str, Any]:
    task, question = item.task, item.question
    about = {"question": entry(question)} if question is not None else {"text": _text(item, now)}
    following = step(task, "answer_task", question_id=question.id) if question is not None else next_step(task, now)
    return {
        "id": item.id,
        "kind": item.kind,
        "at": rfc3339(item.at),
        "task_id": task.metadata.uid,
        "template": task.spec.template_ref.name,
        "status": status_word(task),
        **about,
        **({"next": following} if following is not None else {}),
    }
