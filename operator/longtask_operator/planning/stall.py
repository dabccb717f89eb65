"""Work that runs but tells nothing: when it counts as stalled, and what is known of it then. Pure.

Only silence that somebody could have heard counts: while no operator was there to take reports, nobody knows whether
the work told anything.

The Stalled condition is the memory. A report refutes it. Where the policy acts, it says so a second time when the
silence lasted for GRACE more, and that write decides: the attempt is ended, also when it tells something afterwards and
whichever replica goes on.
"""

import re
from datetime import datetime, timedelta

from longtask_api.conditions import Condition, find, is_true
from longtask_api.longtask import ConditionType, LongTaskStatus, StallAction, StallPolicy
from longtask_operator.planning.snapshots import PodSnapshot, PodUsage

REASON = "NoReport"
"""Of the condition while a report would refute it."""
DECIDED = "StillNoReport"
"""Of the condition once the attempt is to be ended for it."""
GRACE = timedelta(seconds=10)
"""Between the two: a report may be held for half of it before it is in status."""
RETURN = timedelta(seconds=30)
"""How long after an operator is back pods that met no one may take to find it: the SDK tries every 10 s at least, and
endpoints follow readiness."""


def due(
    status: LongTaskStatus, policy: StallPolicy, started: datetime, attended: datetime | None = None
) -> datetime | None:
    """When work that goes on since `started` will count as stalled, or has; None while it need not tell anything.

    `attended` is since when an operator has been there without a break to take its reports.
    """
    told = _told(status)
    if not told and not policy.expect_reports:
        return None
    condition = find(status.conditions, ConditionType.STALLED)
    # Since then it is seen to go on: a wait for an answer is over.
    seen = [condition.last_transition_time] if condition is not None and condition.status == "False" else []
    return max(_heard([*told, started, *seen], attended)) + timedelta(seconds=policy.timeout_seconds)


def decision_due(condition: Condition, attended: datetime | None = None) -> datetime:
    """When silence that the condition tells of has lasted long enough to end the attempt for it."""
    return max(_heard([condition.last_transition_time], attended)) + GRACE


def in_force(status: LongTaskStatus, policy: StallPolicy, pod: PodSnapshot) -> Condition | None:
    """The condition, if it says that the attempt in the pod, whose work has started, has stalled and nothing refutes
    it."""
    condition = find(status.conditions, ConditionType.STALLED)
    if condition is None or condition.status != "True" or pod.work_started is None:
        return None
    # What was known then is at least the timeout older; a report that came before but was stored later is not.
    told = [] if is_decided(condition, policy, pod) else _told(status)
    newest = max([*told, pod.work_started])
    return condition if newest + timedelta(seconds=policy.timeout_seconds) <= condition.last_transition_time else None


def is_decided(condition: Condition, policy: StallPolicy, pod: PodSnapshot) -> bool:
    """Whether the attempt in the pod, of which the condition tells, is to be ended, whatever it tells now.

    An earlier version decided it with the first reason: then the stop of the pod says so.
    """
    return policy.action is not StallAction.NOTHING and (condition.reason == DECIDED or pod.deadline == 1)


def ended_by(
    status: LongTaskStatus, pod: PodSnapshot, *, cancelled: bool = False, deadline: datetime | None = None
) -> Condition | None:
    """The condition, if the pod was stopped because its work had stalled. Where that was decided by an earlier version,
    nothing but the stop tells of it: it may be that of a task that was cancelled, or whose `deadline` had come.
    """
    snapshot = status.template_snapshot
    if snapshot is None or snapshot.stall is None or pod.deadline != 1 or pod.reason != "DeadlineExceeded":
        return None
    condition = in_force(status, snapshot.stall, pod)
    if condition is None or not is_decided(condition, snapshot.stall, pod):
        return None
    ended = pod.termination.finished if pod.termination is not None else None
    over = deadline is not None and (ended is None or deadline <= ended)
    return None if condition.reason != DECIDED and (cancelled or over) else condition


def is_news(before: LongTaskStatus, after: LongTaskStatus) -> bool:
    """Whether the work counts as stalled from now on."""
    return is_true(after.conditions, ConditionType.STALLED) and not is_true(before.conditions, ConditionType.STALLED)


def evidence(status: LongTaskStatus, pod: PodSnapshot, usage: PodUsage | None, now: datetime) -> str:
    """How long the work has told nothing, what it told last, and what its pod does."""
    silent = int((now - max([*_told(status), *([pod.work_started] if pod.work_started else [])])).total_seconds())
    cpu = "" if usage is None else f" and uses {usage.cpu:.3f} CPU cores"
    where = f" on {pod.node}" if pod.node else ""
    return f"the work has told nothing for {silent} s; {_last_progress(status)}; pod {pod.name} runs{where}{cpu}"


def afterwards(condition: Condition) -> str:
    """The evidence of the condition, told of work that was ended for it."""
    told = re.sub(r"; pod (\S+) runs\b", r"; pod \1 ran", condition.message)
    told = re.sub(r" and uses ([\d.]+ CPU cores)$", r" and used \1", told)
    return told.replace("the work has told", "the work had told", 1)


def _last_progress(status: LongTaskStatus) -> str:
    progress = status.progress
    if progress is None:
        return "it has never told progress"
    shown = ", ".join(text for text in (progress.display, progress.message) if text)
    return f"its last progress: {shown or f'report {progress.sequence}'} (attempt {progress.attempt})"


def _heard(times: list[datetime], attended: datetime | None) -> list[datetime]:
    """The times, and when the work could be heard again after an operator had been away; nothing where it was there."""
    return times if attended is None or max(times) >= attended else [*times, attended + RETURN]


def _told(status: LongTaskStatus) -> list[datetime]:
    """When the work last told anything, in whatever way; empty if it never did."""
    updated = status.progress.updated_time if status.progress is not None else None
    return [time for time in (status.last_report_time, updated) if time is not None]
