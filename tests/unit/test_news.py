"""News of a caller's tasks: each item is reported once, whatever the order in which it becomes known."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_mcp.contract import news
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.errors import BadArguments
from longtask_mcp.contract.known import known
from longtask_mcp.contract.news import MAX_CURSOR, MAX_ITEMS, MAX_MARKS, OVERLAP, Cursor, read_cursor
from longtask_mcp.contract.own import OwnTasks
from tests.mcp.objects import NOW, ago, task, uid

ALICE = Caller("alice")
QUESTION = {"id": "deploy", "message": "Deploy?", "createdTime": ago(minutes=1)}
STALLED = {
    "type": "Stalled",
    "status": "True",
    "reason": "NoReport",
    "message": "No report for 900 s.",
    "lastTransitionTime": ago(minutes=2),
}


def ended(number: int, at: datetime, phase: str = "Succeeded", session: str | None = None) -> LongTask:
    succeeded = {
        "type": "Succeeded",
        "status": "True",
        "reason": "Done",
        "message": "",
        "lastTransitionTime": rfc3339(at),
    }
    requester = {"principal": "alice", **({"sessionId": session, "actorId": "a"} if session else {})}
    made = task(
        {"requester": requester},
        # The node's clock is an hour behind.
        {"phase": phase, "completionTime": rfc3339(at - timedelta(hours=1)), "conditions": [succeeded]},
        uid=uid(number),
    )
    return known(made.to_api())


def asking(number: int, *questions: dict[str, Any], **status: Any) -> LongTask:
    shown = {"phase": "WaitingForInput", "inputRequests": list(questions), **status}
    return known(task(status=shown, uid=uid(number)).to_api())


def all_of(tasks: list[LongTask], cursor: Cursor | None, now: datetime = NOW) -> list[news.Item]:
    return news.of_all(OwnTasks(tasks), ALICE, False, cursor, now)


def cursor_of(answer: Any) -> Cursor:
    return read_cursor(answer.envelope["cursor"])


def test_what_is_open_and_what_ended_a_moment_ago_is_news_at_first() -> None:
    tasks = [
        asking(1, QUESTION | {"createdTime": ago(days=3)}),
        asking(2, phase="Running", conditions=[STALLED]),
        asking(3, phase="Running"),
        ended(4, NOW - timedelta(minutes=9)),
        ended(5, NOW - timedelta(minutes=11)),
    ]
    items = all_of(tasks, None)
    assert [item.id for item in items] == [
        f"{uid(1)}/question/deploy",
        f"{uid(4)}/ended",
        f"{uid(2)}/stalled/{ago(minutes=2)}",
    ]
    answer = news.answer(items, None, 3, NOW)
    assert all_of(tasks, cursor_of(answer)) == []
    assert [entry["kind"] for entry in answer.envelope["news"]] == ["question", "ended", "stalled"]


def test_what_the_agent_reads() -> None:
    failure = {"reason": "OOMKilled", "message": "out of memory", "hint": "Use less."}
    failed = known(
        task(status={"phase": "Failed", "completionTime": ago(minutes=3), "failure": failure}, uid=uid(7)).to_api()
    )
    tasks = [asking(1, QUESTION), failed]
    answer = news.answer(all_of(tasks, None), None, 1, NOW)
    cursor = answer.envelope["cursor"]
    assert answer.text == (
        f"{uid(7)} model-training: failed before it ran: OOMKilled: out of memory. Hint: Use less. "
        "get_task_results has the rest.\n"
        f'{uid(1)} model-training: asks "Deploy?". Answer with answer_task(task_id="{uid(1)}", question_id="deploy", '
        "answer=...).\n"
        f'1 task not ended. To wait on, call wait_any(cursor="{cursor}").'
    )
    assert answer.envelope["next"] == {"tool": "wait_any", "arguments": {"cursor": cursor}, "after_seconds": 0}
    [first, second] = answer.envelope["news"]
    assert "next" not in first
    assert second["next"]["arguments"] == {"task_id": uid(1), "question_id": "deploy"}


def test_nothing_new_is_said_and_the_cursor_stays() -> None:
    begun = news.answer([], None, 1, NOW)
    later = news.answer([], cursor_of(begun), 0, NOW + timedelta(hours=1))
    assert later.envelope["cursor"] == begun.envelope["cursor"]
    assert later.text == "No news.\nNo task is left that has not ended."
    assert "next" not in later.envelope


def test_an_agent_that_was_away_for_weeks_hears_everything_in_order() -> None:
    cursor = cursor_of(news.answer([], None, 1, NOW))
    tasks = [ended(number, NOW + timedelta(days=1, minutes=number)) for number in range(3 * MAX_ITEMS - 5)]
    heard: list[str] = []
    while items := all_of(tasks, cursor, NOW + timedelta(days=30)):
        answer = news.answer(items, cursor, 0, NOW + timedelta(days=30))
        heard += [entry["task_id"] for entry in answer.envelope["news"]]
        assert answer.envelope["more"] == len(items) - len(answer.envelope["news"])
        cursor = cursor_of(answer)
    assert heard == [each.metadata.uid for each in tasks]


def test_another_session_is_not_heard_of_unless_it_is_asked_for() -> None:
    tasks = [ended(1, NOW, session="one"), ended(2, NOW, session="two")]
    caller = Caller("alice", "a", "one")
    here = news.of_all(OwnTasks(tasks), caller, False, None, NOW)
    everywhere = news.of_all(OwnTasks(tasks), caller, True, None, NOW)
    assert [item.task.metadata.uid for item in here] == [uid(1)]
    assert len(everywhere) == 2


def test_of_chosen_tasks_an_end_of_long_ago_is_news_once() -> None:
    tasks = [ended(1, NOW - timedelta(days=20)), asking(2, QUESTION), asking(3, phase="Running")]
    items = news.of_some(tasks, None)
    assert [item.kind for item in items] == ["ended", "question"]
    cursor = cursor_of(news.answer(items, None, 2, NOW))
    assert news.of_some(tasks, cursor) == []


def test_a_task_that_stalls_again_is_news_again() -> None:
    tasks = [asking(1, phase="Running", conditions=[STALLED])]
    cursor = cursor_of(news.answer(all_of(tasks, None), None, 1, NOW))
    again = [asking(1, phase="Running", conditions=[STALLED | {"lastTransitionTime": ago(seconds=5)}])]
    assert [item.kind for item in all_of(again, cursor)] == ["stalled"]


def test_more_old_questions_than_an_answer_holds_are_all_heard() -> None:
    tasks = [
        asking(number, QUESTION | {"createdTime": ago(days=3, minutes=number)}) for number in range(2 * MAX_ITEMS + 1)
    ]
    cursor, heard = None, set()
    for _ in range(3):
        answer = news.answer(all_of(tasks, cursor), cursor, len(tasks), NOW)
        heard |= {entry["task_id"] for entry in answer.envelope["news"]}
        cursor = cursor_of(answer)
    assert len(heard) == len(tasks)
    assert all_of(tasks, cursor) == []


@pytest.mark.parametrize(
    "text", ["", "_", "x", "1", "1.", "12.1234567", "12.123456789", "g.12345678", "-1.12345678", "12.12345678_", "Ω"]
)
def test_a_cursor_that_nobody_gave_is_refused(text: str) -> None:
    if text == "1.":
        assert str(read_cursor(text)) == text
        return
    with pytest.raises(BadArguments, match="wait_any"):
        read_cursor(text)


def test_a_cursor_is_short_unless_hundreds_ended_at_once() -> None:
    quiet = news.answer([], None, 1, NOW).envelope["cursor"]
    assert len(quiet) < 12
    cursor, tasks = read_cursor(quiet), [ended(number, NOW) for number in range(4 * MAX_MARKS)]
    heard: set[str] = set()
    while items := all_of(tasks, cursor):
        answer = news.answer(items, cursor, 0, NOW)
        assert not heard & {entry["id"] for entry in answer.envelope["news"]}, "reported twice"
        heard |= {entry["id"] for entry in answer.envelope["news"]}
        assert len(answer.envelope["cursor"]) <= MAX_CURSOR
        cursor = cursor_of(answer)
    assert len(heard) == len(tasks)


@given(
    some.lists(
        some.tuples(some.integers(0, 500), some.integers(0, int(OVERLAP.total_seconds()) - 1)),
        min_size=1,
        max_size=80,
    ),
    some.randoms(use_true_random=False),
)
def test_each_end_is_reported_exactly_once_though_it_is_seen_late(ends: list[tuple[int, int]], dice: Any) -> None:
    """Each end has a time, and is seen some seconds after it, on any server; the agent calls now and then."""
    begun = datetime(2026, 11, 30, tzinfo=UTC)
    tasks = [ended(number, begun + timedelta(seconds=second)) for number, (second, _) in enumerate(ends)]
    seen_at = [second + late for second, late in ends]
    cursor, heard = cursor_of(news.answer([], None, 1, begun)), []
    for now in sorted({dice.randint(0, 600) for _ in range(12)} | {600}):
        seen = [each for each, at in zip(tasks, seen_at, strict=True) if at <= now]
        while items := all_of(seen, cursor, begun + timedelta(seconds=now)):
            answer = news.answer(items, cursor, 0, begun)
            heard += [entry["id"] for entry in answer.envelope["news"]]
            cursor = cursor_of(answer)
    assert sorted(heard) == sorted(f"{each.metadata.uid}/ended" for each in tasks)
