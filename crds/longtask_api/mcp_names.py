"""Names that the MCP server's tools take for themselves, and the label by which it finds a caller's tasks."""

import hashlib
from typing import Final

from longtask_api import constants

FIXED_TOOLS: Final = frozenset(
    {
        "list_templates",
        "start_task",
        "check_task_status",
        "get_task_results",
        "wait_for_task",
        "list_tasks",
        "cancel_task",
        "get_task_logs",
        "answer_task",
        "resume_brief",
    }
)
"""Tools that are always there. A template whose tool would have one of these names is refused."""

RESERVED_ARGUMENTS: Final = frozenset({"wait_seconds", "idempotency_key"})
"""Arguments that every template's tool has beside the template's own parameters."""

LABEL_REQUESTER: Final = f"{constants.GROUP}/requester"
"""On LongTasks: whose they are, in a form that fits a label; spec.requester.principal is what counts."""


def requester_label(principal: str, actor_id: str | None = None) -> str:
    """The value of LABEL_REQUESTER for a caller: 16 hex digits of the SHA-256 of principal and actor."""
    caller = principal if actor_id is None else f"{principal}\n{actor_id}"
    return hashlib.sha256(caller.encode()).hexdigest()[:16]
