"""Stall detection: when running work that does not report counts as stalled, and the evidence for it. Pure.

Silence counts only while an operator was running to receive reports.

The state is kept in the Stalled condition. A report clears it. If the policy acts and the silence lasts for GRACE
more, the condition's reason becomes DECIDED. That write is final: the attempt is ended even if it reports afterwards,
whichever replica leads by then.
"""

import re
from datetime import datetime, timedelta

from longtask_api.conditions import Condition, find, is_true
from longtask_api.longtask import ConditionType, LongTaskStatus, StallAction, StallPolicy
from longtask_operator.planning.snapshots import PodSnapshot, PodUsage

REASON = "NoReport"
"""Reason of the condition while a report would clear it."""
DECIDED = "StillNoReport"
"""Reason of the condition once the attempt is to be ended."""
GRACE = timedelta(seconds=10)
"""Time between the two reasons; the task API may hold a report for half of it before writing it to status."""
RETURN = timedelta(seconds=30)
"""How long pods may take to reach an operator that is running again: the SDK retries at least every 10 s, and endpoints
follow readiness."""


def due(
    status: LongTaskStatus, policy: StallPolicy, started: datetime, attended: datetime | None = None
) -> datetime | None:
    """When work running since `started` counts as stalled, possibly in the past; None while it need not report.

    `attended` is since when an operator has been running without a gap to receive its reports.
    """
    told = _report_times(status)
    if not told and not policy.expect_reports:
        return None
    condition = find(status.conditions, ConditionType.STALLED)
    # Stalled=False also restarts the timeout, for example after a wait for an answer.
    seen = [condition.last_transition_time] if condition is not None and condition.status == "False" else []
    return max(_heard([*told, started, *seen], attended)) + timedelta(seconds=policy.timeout_seconds)


def decision_due(condition: Condition, attended: datetime | None = None) -> datetime:
    """When the silence that the condition records will have lasted long enough to end the attempt."""
    return max(_heard([condition.last_transition_time], attended)) + GRACE


def in_force(status: LongTaskStatus, policy: StallPolicy, pod: PodSnapshot) -> Condition | None:
    """The Stalled condition, if it applies to the work that has started in the pod and no report has cleared it."""
    condition = find(status.conditions, ConditionType.STALLED)
    if condition is None or condition.status != "True" or pod.work_started is None:
        return None
    # Reports known at the transition are older by the timeout; one stored since is not, even if received before.
    told = [] if is_decided(condition, policy, pod) else _report_times(status)
    newest = max([*told, pod.work_started])
    return condition if newest + timedelta(seconds=policy.timeout_seconds) <= condition.last_transition_time else None


def is_decided(condition: Condition, policy: StallPolicy, pod: PodSnapshot) -> bool:
    """Whether the pod's attempt is to be ended for this condition, whatever it reports now.

    Older versions did not set DECIDED: then the stop of the pod (a deadline of 1 second) shows the decision.
    """
    return policy.action is not StallAction.NOTHING and (condition.reason == DECIDED or pod.deadline == 1)


def ended_by(
    status: LongTaskStatus, pod: PodSnapshot, *, cancelled: bool = False, deadline: datetime | None = None
) -> Condition | None:
    """The Stalled condition, if the pod was stopped because its work had stalled.

    Decisions of older versions show only in the stop: then None if a cancel or `deadline` may have caused it.
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
    """Whether this change of status marks the work as stalled."""
    return is_true(after.conditions, ConditionType.STALLED) and not is_true(before.conditions, ConditionType.STALLED)


def evidence(status: LongTaskStatus, pod: PodSnapshot, usage: PodUsage | None, now: datetime) -> str:
    """Sentence on how long the work has been silent, its last progress, and what its pod does."""
    silent = int(
        (now - max([*_report_times(status), *([pod.work_started] if pod.work_started else [])])).total_seconds()
    )
    cpu = "" if usage is None else f" and uses {usage.cpu:.3f} CPU cores"
    where = f" on {pod.node}" if pod.node else ""
    return f"the work has told nothing for {silent} s; {_last_progress(status)}; pod {pod.name} runs{where}{cpu}"


def afterwards(condition: Condition) -> str:
    """The condition's evidence in the past tense, for work that was ended for it."""
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
    """The times, and when pods could reach an operator again if none was running since the last of them."""
    return times if attended is None or max(times) >= attended else [*times, attended + RETURN]


def _report_times(status: LongTaskStatus) -> list[datetime]:
    """Times of the last report and the last progress; empty if the work never reported."""
    updated = status.progress.updated_time if status.progress is not None else None
    return [time for time in (status.last_report_time, updated) if time is not None]
