"""Which events the sinks of a task are missing, and what the Notified condition says."""

from datetime import timedelta
from typing import Any

import pytest

from longtask_api import constants
from longtask_api.longtask import LongTask, LongTaskStatus, Notification, Phase
from longtask_api.reports import InputRequest
from longtask_operator.planning.notifications import (
    GIVE_UP_AFTER,
    EventKind,
    condition,
    due,
    events,
    is_settled,
    with_state,
)
from tests.unit import given

ALL = frozenset(EventKind)
SINKS = {"ops": ALL, "ends": frozenset({EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED})}
NOW = given.at(200)
STALLED = given.condition("Stalled", "True", "NoReport", since=50)


def task(status: LongTaskStatus, *sinks: str, **more: Any) -> LongTask:
    terms = given.SNAPSHOT.model_copy(update={"notify": list(sinks or ("ops",))})
    return given.task(status.model_copy(update={"template_snapshot": terms}), **more)


def ended(*states: Notification, phase: Phase = Phase.SUCCEEDED, sinks: tuple[str, ...] = ("ops",)) -> LongTask:
    return task(given.status(phase, notifications=list(states)), *sinks)


def question(name: str, expires: float | None = None) -> InputRequest:
    until = given.at(expires) if expires is not None else None
    return InputRequest(id=name, message=f"{name}?", created_time=given.at(60), expires_time=until)


def asking(*questions: InputRequest, **more: Any) -> LongTask:
    return task(given.at_work(input_requests=list(questions)), **more)


def sent(event: str = "succeeded", sink: str = "ops") -> Notification:
    return Notification(sink=sink, event=event, sent_time=given.at(150))


def failing(event: str = "succeeded", sink: str = "ops", again: float | None = 300, reason: str = "ServerError") -> Any:
    until = given.at(again) if again is not None else None
    return Notification(sink=sink, event=event, failures=3, next_retry_time=until, reason=reason, message="it is bad")


def marked(annotation: str, value: str) -> LongTask:
    found = ended()
    return found.model_copy(update={"metadata": found.metadata.model_copy(update={"annotations": {annotation: value}})})


@pytest.mark.parametrize(
    ("of", "names"),
    [
        pytest.param(ended(), ["succeeded"], id="success"),
        pytest.param(ended(phase=Phase.FAILED), ["failed"], id="failure"),
        pytest.param(ended(phase=Phase.CANCELLED), ["cancelled"], id="cancel"),
        pytest.param(given.task(given.status(Phase.SUCCEEDED)), [], id="no-sinks"),
        pytest.param(given.task(LongTaskStatus(phase=Phase.FAILED)), [], id="no-template-no-sinks"),
        pytest.param(task(given.at_work()), [], id="at-work"),
        pytest.param(asking(question("b"), question("a")), ["asked-b", "asked-a"], id="questions-in-their-order"),
        pytest.param(asking(question("a", expires=200)), [], id="a-question-that-has-expired"),
        pytest.param(
            asking(question("a"), input_responses=[{"requestId": "a", "value": "1"}]),
            [],
            id="a-question-with-an-answer",
        ),
        pytest.param(
            task(given.status(Phase.RUNNING, STALLED)), [f"stalled-{int(given.at(50).timestamp())}"], id="stall"
        ),
        pytest.param(
            task(given.status(Phase.RUNNING, given.condition("Stalled", "False"))), [], id="no-stall-any-more"
        ),
        pytest.param(task(given.status(Phase.FAILED, STALLED)), ["failed"], id="only-the-end-of-what-has-ended"),
        pytest.param(task(given.status(Phase.FAILED), deleted=150), [], id="deleted"),
        pytest.param(marked(constants.ANNOTATION_RECORD, "true"), [], id="restored"),
        pytest.param(marked(constants.ANNOTATION_TAKEN_BACK, ""), [], id="never-started"),
    ],
)
def test_events_follow_from_the_object(of: LongTask, names: list[str]) -> None:
    assert [event.name for event in events(of, NOW)] == names


def test_an_event_has_the_time_when_it_happened() -> None:
    assert [event.time for event in events(ended(), NOW)] == [given.at(100)]
    assert [event.time for event in events(asking(question("a")), NOW)] == [given.at(60)]
    timeless = task(given.status(Phase.SUCCEEDED, completion_time=None))
    assert events(timeless, NOW) == events(timeless, NOW + timedelta(days=9))


@pytest.mark.parametrize(
    ("of", "sink", "expected"),
    [
        pytest.param(ended(), "ops", ("succeeded", 100, 0), id="never-tried"),
        pytest.param(ended(sent()), "ops", None, id="sent"),
        pytest.param(ended(sent(sink="other")), "ops", ("succeeded", 100, 0), id="sent-to-another"),
        pytest.param(ended(failing()), "ops", ("succeeded", 300, 3), id="failed"),
        pytest.param(ended(failing(again=None)), "ops", None, id="given-up"),
        pytest.param(ended(), "nobody", ("succeeded", 100, 0), id="not-configured"),
        pytest.param(
            ended(failing(sink="nobody", reason="SinkNotConfigured")), "nobody", ("succeeded", 300, 3), id="still-not"
        ),
        pytest.param(
            ended(failing(reason="SinkNotConfigured")),
            "ops",
            ("succeeded", 100, 3),
            id="configured-by-now-need-not-wait",
        ),
        pytest.param(asking(question("a")), "ends", None, id="a-sink-that-takes-no-questions"),
        pytest.param(
            task(given.at_work(input_requests=[question("a"), question("b")], notifications=[failing("asked-a")])),
            "ops",
            ("asked-b", 60, 0),
            id="one-that-fails-holds-up-no-other",
        ),
    ],
)
def test_what_a_sink_misses(of: LongTask, sink: str, expected: tuple[str, float, int] | None) -> None:
    found = due(of, sink, SINKS, NOW)
    assert (found and (found.event.name, found.at, found.failures)) == (
        expected and (expected[0], given.at(expected[1]), expected[2])
    )


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(ended(), False, id="not-sent"),
        pytest.param(ended(sent()), True, id="sent"),
        pytest.param(ended(sent(), sinks=("ops", "ends")), False, id="sent-to-one-of-two"),
        pytest.param(ended(sent(), failing(sink="ends", again=None), sinks=("ops", "ends")), True, id="given-up"),
        pytest.param(ended(failing(sink="nobody"), sinks=("nobody",)), False, id="not-configured"),
        pytest.param(given.task(given.status(Phase.SUCCEEDED)), True, id="no-sinks"),
    ],
)
def test_when_nothing_is_missing(of: LongTask, expected: bool) -> None:
    assert is_settled(of, SINKS, NOW) == expected


def test_what_is_over_is_dropped() -> None:
    states = with_state(ended(sent("asked-a"), failing(sink="ends"), failing()), sent(), NOW)
    assert [(each.sink, each.event, each.sent_time is not None) for each in states] == [
        ("ends", "succeeded", False),
        ("ops", "succeeded", True),
    ]


@pytest.mark.parametrize(
    ("states", "sinks", "status", "reason", "part"),
    [
        ([sent()], ("ops",), "True", "Notified", "sent to ops (succeeded)"),
        ([sent()], ("ops", "ends"), "Unknown", "EventSent", "sent to ops"),
        ([failing()], ("ops",), "Unknown", "ServerError", "it is bad; next attempt at 2026-03-01T10:05:00Z"),
        ([failing(reason="NoSigningSecret")], ("ops",), "False", "NoSigningSecret", "sink ops, succeeded: it is bad"),
        ([failing(sink="a"), failing(sink="b", reason="Rejected")], ("a", "b"), "False", "Rejected", "sink a, succ"),
        ([failing(again=None), sent(sink="ends")], ("ops", "ends"), "False", "GivenUp", "it is not tried again"),
        ([failing(again=None), failing(sink="ends")], ("ops", "ends"), "Unknown", "ServerError", "not tried again"),
    ],
)
def test_what_the_condition_says(
    states: list[Notification], sinks: tuple[str, ...], status: str, reason: str, part: str
) -> None:
    found = condition(ended(sinks=sinks), states, SINKS, NOW)
    assert found[:2] == (status, reason)
    assert part in found[2]


def test_a_task_at_work_is_never_done() -> None:
    assert condition(asking(question("a")), [sent("asked-a")], SINKS, NOW)[:2] == ("Unknown", "EventSent")


def test_an_event_is_given_up_after_a_day() -> None:
    [event] = events(ended(), NOW)
    assert [event.is_too_old(given.at(100) + GIVE_UP_AFTER + timedelta(seconds=each)) for each in (-1, 0)] == [
        False,
        True,
    ]
