"""Determines which events the sinks of a task are missing, and what the Notified condition says of them. Pure.

An event follows from what stands in the object, so whoever leads finds the same ones: an end, each open question, and a
stall that lasts. What is over before it was sent, a question that has its answer, is not sent any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from longtask_api.base import rfc3339
from longtask_api.conditions import ConditionStatus, find
from longtask_api.longtask import ConditionType, LongTask, Notification, Phase
from longtask_api.reports import InputRequest
from longtask_operator.planning.questions import open_questions

GIVE_UP_AFTER: Final = timedelta(days=1)
"""After an event; each is tried at least once, unless its sink is failing then."""
NOT_CONFIGURED: Final = "SinkNotConfigured"
"""Reason for a sink that is not in the chart's values."""
TO_BE_FIXED: Final = frozenset(
    {NOT_CONFIGURED, "NoSigningSecret", "AddressNotAllowed", "InvalidCertificate", "Redirected", "Rejected"}
)
"""Reasons for which a person has to change something. The rest passes by itself."""


class EventKind(StrEnum):
    """What a sink can be notified of; the last part of the CloudEvents type."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ASKED = "asked"
    STALLED = "stalled"


ENDS: Final = {
    Phase.SUCCEEDED: EventKind.SUCCEEDED,
    Phase.FAILED: EventKind.FAILED,
    Phase.CANCELLED: EventKind.CANCELLED,
}

Sinks = Mapping[str, frozenset[EventKind]]
"""The kinds of events that each configured sink takes, by its name."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task. `name` is unique within the task, and always the same."""

    kind: EventKind
    name: str
    time: datetime
    question: InputRequest | None = None

    def is_too_old(self, now: datetime) -> bool:
        """Whether it is not tried again."""
        return now >= self.time + GIVE_UP_AFTER


@dataclass(frozen=True, slots=True)
class Due:
    """An event that a sink is missing; it may be sent from `at` on."""

    event: Event
    at: datetime
    failures: int


def sinks_of(task: LongTask) -> Sequence[str]:
    """The names of the sinks that are notified of this task's events."""
    snapshot = task.status.template_snapshot
    return (snapshot.notify if snapshot is not None else None) or ()


def events(task: LongTask, now: datetime) -> list[Event]:
    """What the sinks of the task should know now; oldest first."""
    unsent = task.metadata.deletion_timestamp is not None or task.is_record or task.is_taken_back
    if unsent or not sinks_of(task):
        return []
    if task.status.phase in ENDS:
        kind = ENDS[task.status.phase]
        return [Event(kind, kind.value, _end_time(task, now))]
    found = [
        Event(EventKind.ASKED, f"{EventKind.ASKED}-{each.id}", each.created_time, each)
        for each in open_questions(task, now)
    ]
    stalled = find(task.status.conditions, ConditionType.STALLED)
    if stalled is not None and stalled.status == "True":
        since = stalled.last_transition_time
        found.append(Event(EventKind.STALLED, f"{EventKind.STALLED}-{int(since.timestamp())}", since))
    return sorted(found, key=lambda event: event.time)


def due(task: LongTask, sink: str, sinks: Sinks, now: datetime) -> Due | None:
    """The event that this sink is to be sent next; None if it misses none. A sink that is not configured misses all:
    its state tells so.
    """
    known = {each.event: each for each in task.status.notifications if each.sink == sink}
    kinds = sinks.get(sink, frozenset(EventKind))
    wanted = [event for event in events(task, now) if event.kind in kinds]
    found = [_due(event, known.get(event.name), is_configured=sink in sinks) for event in wanted]
    return min((each for each in found if each is not None), key=lambda each: each.at, default=None)


def is_settled(task: LongTask, sinks: Sinks, now: datetime) -> bool:
    """Whether no sink misses an event any more: each is sent or given up."""
    return all(due(task, sink, sinks, now) is None for sink in sinks_of(task))


def with_state(task: LongTask, made: Notification, now: datetime) -> list[Notification]:
    """The task's notifications with this one in its new state, and without those of events that are over."""
    lasting = {event.name for event in events(task, now)}
    key = made.sink, made.event
    others = [each for each in task.status.notifications if each.event in lasting and (each.sink, each.event) != key]
    return sorted([*others, made], key=lambda each: (each.sink, each.event))


def condition(
    task: LongTask, states: Sequence[Notification], sinks: Sinks, now: datetime
) -> tuple[ConditionStatus, str, str]:
    """Status, reason and message of the Notified condition for these states."""
    failing = [each for each in states if each.next_retry_time is not None]
    given_up = [each for each in states if each.sent_time is None and each.next_retry_time is None]
    if failing:
        worst = next((each for each in failing if each.reason in TO_BE_FIXED), failing[0])
        status: ConditionStatus = "False" if worst.reason in TO_BE_FIXED else "Unknown"
        return status, worst.reason or "Failing", "; ".join(_in_words(each) for each in [*failing, *given_up])
    if given_up:
        return "False", "GivenUp", "; ".join(_in_words(each) for each in given_up)
    sent = f"sent to {', '.join(f'{each.sink} ({each.event})' for each in states)}"
    after = task.model_copy(update={"status": task.status.model_copy(update={"notifications": list(states)})})
    if task.is_terminal and is_settled(after, sinks, now):
        return "True", "Notified", sent
    return "Unknown", "EventSent", sent


def _end_time(task: LongTask, now: datetime) -> datetime:
    succeeded = find(task.status.conditions, ConditionType.SUCCEEDED)
    return task.status.completion_time or (succeeded.last_transition_time if succeeded is not None else now)


def _due(event: Event, state: Notification | None, *, is_configured: bool) -> Due | None:
    """When the event is tried next. A sink that was not configured and is now need not wait."""
    if state is None:
        return Due(event, event.time, 0)
    if state.next_retry_time is None:
        return None
    waits = state.reason != NOT_CONFIGURED or not is_configured
    return Due(event, state.next_retry_time if waits else event.time, state.failures or 0)


def _in_words(state: Notification) -> str:
    again = state.next_retry_time
    then = f"next attempt at {rfc3339(again)}" if again is not None else "it is not tried again"
    return f"sink {state.sink}, {state.event}: {state.message or state.reason}; {then}"
