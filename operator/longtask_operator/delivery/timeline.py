"""Where in a conversation an event goes: right after a completed turn of the assistant, whatever goes on now. Pure.

A pair between toolUse and toolResult breaks the turn for good: the real result becomes "interrupted", and two messages
of the assistant stand in a row. An event's date decides where it stands, so it is dated into a gap between two turns,
and nobody's clock is asked: it stands well when the agent is in mid-turn, when it has crashed there, when it holds
back what it has to write, and when its clock differs from ours.

A message is what the session manager restores as one. Its own state, which it keeps as events of the same session,
stands in nobody's way; only no event gets a millisecond that another one has, since their order would be by chance.
Whatever else stands in a session is taken as it is: a message of unknown form ends no turn.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from longtask_operator.agentcore.models import Event

MILLISECOND = timedelta(milliseconds=1)
"""The resolution in which the service keeps and orders events."""
BEFORE_ALL = timedelta(minutes=1)
"""How long before the first event the first of ours goes where no turn was ever completed. It leaves room for those
that follow, and covers what an agent may have begun without having written it, by a clock of its own."""

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Placement:
    """`turn_open`: the newest message is not the end of a turn; the agent works, or has crashed."""

    time: datetime
    turn_open: bool


def place(newest_first: Sequence[Event], taken: Collection[datetime], now: datetime) -> Placement:
    """The place of the next event in a session that has these events and no others.

    It is behind the newest completed turn that has a free millisecond before the next message; else before the first
    message; in an empty session BEFORE_ALL ago. `taken` are the times of events of ours that may not be in the list
    yet; the place is after those of the same gap.
    """
    placed = place_in_newest(newest_first, taken)
    if placed is not None:
        return placed
    first_message = next((_floor(event.time) for event in reversed(newest_first) if _message_of(event)), None)
    begin = min((_floor(event.time) for event in newest_first), default=_floor(now)) - BEFORE_ALL
    used = _used(newest_first, taken)
    time = _free(begin, first_message, taken, used)
    if time is None:
        time = begin
        while time in used:
            time -= MILLISECOND
    return Placement(time, turn_open=first_message is not None)


def place_in_newest(newest_first: Sequence[Event], taken: Collection[datetime]) -> Placement | None:
    """As `place`, from the newest events of a session alone; None where older ones are wanted to decide."""
    used = _used(newest_first, taken)
    next_message: datetime | None = None
    for event in newest_first:
        message, time = _message_of(event), _floor(event.time)
        if message is None:
            continue
        if _ends_turn(message) and (free := _free(time + MILLISECOND, next_message, taken, used)) is not None:
            return Placement(free, turn_open=next_message is not None)
        next_message = time
    return None


def _used(events: Sequence[Event], taken: Collection[datetime]) -> set[datetime]:
    return {_floor(event.time) for event in events} | {_floor(each) for each in taken}


def _free(
    begin: datetime, end: datetime | None, taken: Collection[datetime], used: Collection[datetime]
) -> datetime | None:
    """The first free millisecond from `begin` on and behind what is taken from there up to `end`; None where none is
    before `end`.
    """
    between = (time for each in taken if begin <= (time := _floor(each)) and (end is None or time < end))
    free = max((time + MILLISECOND for time in between), default=begin)
    while free in used:
        free += MILLISECOND
    return free if end is None or free < end else None


def _ends_turn(message: Message) -> bool:
    content = message.get("content") or []
    if message.get("role") != "assistant" or not isinstance(content, str | list):
        return False
    return not any(isinstance(each, Mapping) and "toolUse" in each for each in content)


def _message_of(event: Event) -> Message | None:
    """The last message of an event, which may have several; None where it has none."""
    found: Message | None = None
    for message in _messages(event):
        found = message
    return found


def _messages(event: Event) -> Iterator[Message]:
    """A text that is not the session manager's counts as a message of its role: somebody else reads it as one."""
    for item in event.payload:
        if isinstance(item, Mapping):
            message = _said(item["conversational"]) if "conversational" in item else _long(item.get("blob"))
            if "role" in message and not _is_empty(message):
                yield message


def _said(said: object) -> Message:
    content = said.get("content") if isinstance(said, Mapping) else None
    role = said.get("role") if isinstance(said, Mapping) else None
    return _message(content.get("text") if isinstance(content, Mapping) else None) or {"role": str(role).lower()}


def _long(blob: object) -> Message:
    """One of 100,000 characters and more is a blob: the JSON of [text, role]."""
    pair = _json(blob)
    return (_message(pair[0]) or {}) if isinstance(pair, list) and len(pair) == 2 else {}


def _message(text: object) -> Message | None:
    decoded = _json(text)
    message = decoded.get("message") if isinstance(decoded, dict) else None
    return message if isinstance(message, dict) else None


def _is_empty(message: Message) -> bool:
    """Whether it has but blank texts, which the session manager drops; it restores no message without content."""
    content = message.get("content")
    return isinstance(content, list) and all(
        isinstance(each, Mapping) and "text" in each and not str(each["text"]).strip() for each in content
    )


def _json(text: object) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def _floor(moment: datetime) -> datetime:
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
