"""Places an event in a conversation: right after a completed turn of the assistant, never inside a turn. Pure.

A message pair between toolUse and toolResult breaks the turn permanently: the real result becomes "interrupted", and
two assistant messages follow each other. Events are ordered by their time, so the event is dated into a gap between two
turns. This needs no clock: the place is right while the agent is in mid-turn, after it crashed there, while it buffers
messages, and if its clock differs from this one.

A message is what the session manager restores as one. Its own state, stored as events of the same session, is no
obstacle, but no two events may share a millisecond, since their order would be undefined. A message of unknown format
ends no turn.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from longtask_operator.agentcore.models import Event

MILLISECOND = timedelta(milliseconds=1)
"""Resolution in which the service stores and orders events."""
BEFORE_ALL = timedelta(minutes=1)
"""How long before the first event LongTask's first one is placed if no turn was ever completed. Leaves room for further
ones, and covers messages that an agent, with a clock of its own, has begun but not written yet."""

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Placement:
    """Time of an event. `turn_open`: the newest message does not end a turn; the agent is working or has crashed."""

    time: datetime
    turn_open: bool


def place(newest_first: Sequence[Event], taken: Collection[datetime], now: datetime) -> Placement:
    """Place the next event in a session that has exactly these events.

    It goes after the newest completed turn with a free millisecond before the next message; else before the first
    message; in an empty session BEFORE_ALL before `now`. `taken` are times of LongTask's events that may not be listed
    yet; the place is after those in the same gap.
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
    """As `place`, from the newest events of a session only; None if older events are needed to decide."""
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
    """The first free millisecond from `begin` on that is after all `taken` times before `end`; None if there is none
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
    """The last message of an event, which may have several; None if it has none."""
    found: Message | None = None
    for message in _messages(event):
        found = message
    return found


def _messages(event: Event) -> Iterator[Message]:
    """Text in another format than the session manager's counts as a message of its role, as other readers take it."""
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
    """A message of 100,000 characters or more is stored as a blob: the JSON of [text, role]."""
    pair = _json(blob)
    return (_message(pair[0]) or {}) if isinstance(pair, list) and len(pair) == 2 else {}


def _message(text: object) -> Message | None:
    decoded = _json(text)
    message = decoded.get("message") if isinstance(decoded, dict) else None
    return message if isinstance(message, dict) else None


def _is_empty(message: Message) -> bool:
    """Whether it has only blank texts, which the session manager drops; it restores no message without content."""
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
