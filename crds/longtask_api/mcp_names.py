"""Tool and argument names reserved by the MCP server, and the label by which it finds a caller's tasks."""

import hashlib
from typing import Final

from longtask_api import constants

FIXED_TOOLS: Final = frozenset(
    {
        "list_templates",
        "start_task",
        "rerun_task",
        "check_task_status",
        "get_task_results",
        "wait_for_task",
        "wait_any",
        "list_tasks",
        "cancel_task",
        "suspend_task",
        "resume_task",
        "get_task_logs",
        "answer_task",
        "resume_brief",
    }
)
"""Tools that always exist. A template with a tool of the same name is refused."""

RESERVED_ARGUMENTS: Final = frozenset({"wait_seconds", "idempotency_key"})
"""Arguments that every template's tool has in addition to the template's parameters."""

LABEL_REQUESTER: Final = f"{constants.GROUP}/requester"
"""On LongTasks: a hash of the caller, for label selectors; spec.requester is authoritative."""


def requester_label(principal: str, actor_id: str | None = None) -> str:
    """Value of LABEL_REQUESTER: the first 16 hex digits of the SHA-256 of the principal and, if given, the actor."""
    caller = principal if actor_id is None else f"{principal}\n{actor_id}"
    return hashlib.sha256(caller.encode()).hexdigest()[:16]
