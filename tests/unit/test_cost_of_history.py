"""What a call costs does not depend on how many ended tasks its caller has: function calls are counted, not time."""

import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from longtask_api.base import rfc3339
from longtask_mcp.contract import news, task_list
from longtask_mcp.contract.arguments import ListTasks
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.known import known
from longtask_mcp.contract.own import OwnTasks
from longtask_mcp.contract.resume_brief import brief
from tests.mcp.objects import NOW, task, uid

ALICE = Caller("alice")
ALL = news.Scope.of(ALICE, None, False)
FEW, MANY = 200, 4000


def own_of(count: int) -> OwnTasks:
    """Tasks that ended an hour apart, the newest an hour ago, and one that runs."""
    ends = [NOW - timedelta(hours=number + 1) for number in range(count)]
    documents = [
        task(
            status={"phase": "Succeeded", "completionTime": rfc3339(end)},
            uid=uid(number),
            creationTimestamp=rfc3339(end - timedelta(minutes=5)),
        ).to_api()
        for number, end in enumerate(ends)
    ]
    return OwnTasks([known(each) for each in [*documents, task(uid=uid(count)).to_api()]])


OWN = {count: own_of(count) for count in (FEW, MANY)}
CALLS: dict[str, Callable[[OwnTasks], object]] = {
    "list_tasks": lambda own: task_list.answer(task_list.in_cluster(own, ListTasks()), ListTasks(), NOW),
    "list_tasks of a status": lambda own: task_list.in_cluster(own, ListTasks(status="completed")),
    "resume_brief": lambda own: brief(own, ALICE, True, False, NOW),
    "the start that was met": lambda own: own.started_as(None, "model-training", "key", ""),
    "the limit of active tasks": lambda own: len(own.unfinished),
    "wait_any": lambda own: news.answer(news.seen_of_all(own, ALL, news.first_cursor(NOW)), ALL, None, NOW),
}


def calls_of(work: Callable[[], object]) -> int:
    """How many functions, of Python or of C, it calls."""
    count = 0

    def see(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("call", CALLS)
def test_a_call_costs_no_more_with_a_longer_history(call: str) -> None:
    for own in OWN.values():
        CALLS[call](own)
    few, many = (calls_of(partial(CALLS[call], OWN[count])) for count in (FEW, MANY))
    assert many <= few + 50, (few, many)


@pytest.mark.parametrize("ended", [True, False])
def test_a_task_is_indexed_at_the_same_cost(ended: bool) -> None:
    status = {"phase": "Succeeded", "completionTime": rfc3339(NOW)} if ended else {}
    new = known(task(status=status, uid=uid(10**9)).to_api())

    def come_and_go(own: OwnTasks) -> None:
        own.add(new)
        own.remove(new)

    few, many = (calls_of(partial(come_and_go, OWN[count])) for count in (FEW, MANY))
    assert many <= few + 50, (few, many)
