"""Delivery of a task's end to a memory session: which session, and whether it succeeded. Pure."""

from typing import Any

from longtask_api.base import rfc3339
from longtask_api.conditions import find
from longtask_api.longtask import ConditionType, LongTask
from longtask_mcp.contract.callers import session
from longtask_mcp.contract.task_status import shortened

SHOWN_REASON = 300
STATES = {"True": "written", "False": "not_written", "Unknown": "being_written"}


def promise(task: LongTask) -> str:
    """The sentence about the session that will receive the result; empty if none will."""
    memory = task.spec.memory
    if memory is None or task.is_terminal:
        return ""
    if session(task) is None:
        return f" The result will also be written to memory: session {memory.session_id} of actor {memory.actor_id}."
    return (
        " The result will also be written to this conversation's memory: the next agent opened on this session knows "
        "it; this one asks with check_task_status."
    )


def told(task: LongTask) -> str:
    """The sentence about the state of delivery; empty for a task without a memory or one that has not ended."""
    if task.spec.memory is None or not task.is_terminal:
        return ""
    where = f"memory session {task.spec.memory.session_id}"
    delivered = find(task.status.conditions, ConditionType.DELIVERED)
    if delivered is not None and delivered.status == "True":
        return f" Also written to {where}."
    why = ""
    if delivered is not None and delivered.reason != "Pending":
        why = f": {delivered.reason}: {shortened(delivered.message, SHOWN_REASON)}"
    if delivered is not None and delivered.status == "False":
        return f" Not written to {where}{why.rstrip('.')}."
    return f" Being written to {where}{why.rstrip('.')}."


def entry(task: LongTask) -> dict[str, Any] | None:
    """The session and the state of delivery as in the envelope; None without a memory."""
    memory, known = task.spec.memory, task.status
    if memory is None:
        return None
    told = {
        "memory_id": memory.memory_id,
        "actor_id": memory.actor_id,
        "session_id": memory.session_id,
        "state": state(task),
    }
    if not task.is_terminal:
        return told
    delivered = find(known.conditions, ConditionType.DELIVERED)
    events = known.delivery.events if known.delivery is not None else []
    again = known.delivery.next_retry_time if known.delivery is not None else None
    optional = {
        "event_id": next((each.event_id for each in events if each.name == "result"), None),
        "reason": delivered.reason if delivered is not None and delivered.status != "True" else None,
        "message": delivered.message if delivered is not None and delivered.status != "True" else None,
        "next_retry_at": rfc3339(again) if again is not None else None,
    }
    return told | {key: value for key, value in optional.items() if value is not None}


def state(task: LongTask) -> str | None:
    """The state of delivery: at_end, being_written, written or not_written; None without a memory."""
    if task.spec.memory is None:
        return None
    if not task.is_terminal:
        return "at_end"
    delivered = find(task.status.conditions, ConditionType.DELIVERED)
    return STATES[delivered.status if delivered is not None else "Unknown"]
