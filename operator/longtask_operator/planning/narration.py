"""Which Kubernetes Events tell the story of a task to a person. Pure.

The happy path needs none: conditions and attempts tell it, and each Event is one more write for every task.
"""

from collections.abc import Iterator

from longtask_api.conditions import is_true
from longtask_api.longtask import ConditionType, LongTaskStatus, Phase


def events(before: LongTaskStatus, after: LongTaskStatus) -> Iterator[tuple[str, str, str]]:
    """(type, reason, message) of each Event that the change of status is worth."""
    known = {attempt.pod_uid for attempt in before.attempts if attempt.end_time is not None}
    for attempt in after.attempts:
        if attempt.end_time is not None and attempt.pod_uid not in known and attempt.reason != "Completed":
            code = "" if attempt.exit_code is None else f", exit code {attempt.exit_code}"
            yield "Warning", "AttemptEnded", f"attempt {attempt.number} ({attempt.pod_name}): {attempt.reason}{code}"
    if before.phase == after.phase:
        return
    message = after.message or ""
    if after.phase is Phase.FAILED:
        yield "Warning", after.failure.reason if after.failure else "Failed", message
    elif after.phase is Phase.CANCELLED:
        yield "Normal", "Cancelled", message
    elif after.phase is Phase.SUSPENDED:
        yield "Normal", "Suspended", message
    elif _held(before) and not _held(after):
        yield "Normal", "Resumed", message


def _held(status: LongTaskStatus) -> bool:
    return is_true(status.conditions, ConditionType.SUSPENDED)
