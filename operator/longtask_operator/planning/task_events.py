"""Selects the Kubernetes Events to post for a task. Pure.

Normal progress posts none: conditions and attempts show it, and each Event costs one more write per task.
"""

from collections.abc import Iterator

from longtask_api.conditions import find, is_true
from longtask_api.longtask import TERMINAL_PHASES, ConditionType, LongTaskStatus, Phase
from longtask_operator.planning import stall
from longtask_operator.planning.attempts import how_it_ended

TEMPLATE_NOT_CHECKED = "TemplateNotChecked"
"""Reason while the template has not been checked yet, for example when applied with the task; posts no Event."""
Event = tuple[str, str, str]
"""(type, reason, message)."""


def for_change(before: LongTaskStatus, after: LongTaskStatus) -> Iterator[Event]:
    """Yield the Events to post for a change of status."""
    yield from _ended_attempts(before, after)
    yield from _problems(before, after)
    if before.phase != after.phase:
        yield from _turn(before, after)


def _ended_attempts(before: LongTaskStatus, after: LongTaskStatus) -> Iterator[Event]:
    known = {attempt.pod_uid for attempt in before.attempts if attempt.end_time is not None}
    for attempt in after.attempts:
        if attempt.end_time is not None and attempt.pod_uid not in known and attempt.reason != "Completed":
            yield "Warning", "AttemptEnded", f"attempt {attempt.number} ({attempt.pod_name}): {how_it_ended(attempt)}"


def _problems(before: LongTaskStatus, after: LongTaskStatus) -> Iterator[Event]:
    stalled = find(after.conditions, ConditionType.STALLED)
    if stalled is not None and stall.is_news(before, after):
        yield "Warning", "Stalled", stalled.message
    reason = _reason(after)
    known = (_reason(before), TEMPLATE_NOT_CHECKED, *Phase)
    if after.phase not in TERMINAL_PHASES and reason is not None and reason not in known:
        yield "Warning", reason, after.message or ""


def _turn(before: LongTaskStatus, after: LongTaskStatus) -> Iterator[Event]:
    message = after.message or ""
    if after.phase is Phase.FAILED:
        yield "Warning", after.failure.reason if after.failure else "Failed", message
    elif after.phase is Phase.CANCELLED:
        yield "Normal", "Cancelled", message
    elif after.phase is Phase.WAITING_FOR_INPUT:
        yield "Normal", "InputRequested", message
    elif after.phase is Phase.SUSPENDED:
        yield "Normal", "Suspended", message
    elif _held(before) and not _held(after):
        yield "Normal", "Resumed", message


def _reason(status: LongTaskStatus) -> str | None:
    succeeded = find(status.conditions, ConditionType.SUCCEEDED)
    return succeeded.reason if succeeded is not None else None


def _held(status: LongTaskStatus) -> bool:
    return is_true(status.conditions, ConditionType.SUSPENDED)
