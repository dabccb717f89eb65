"""What a JSON-RPC request does with tasks, for issuers that require a scope for it. Pure."""

from enum import StrEnum
from typing import Any, Final

from longtask_mcp.contract.tool_definitions import FIXED


class Operation(StrEnum):
    """Each may require scopes of its own."""

    READ = "read"
    START = "start"
    """Starts work, or lets it go on: answers a question, resumes."""
    CANCEL = "cancel"
    """Ends work, or suspends it."""


FREE: Final = frozenset({"initialize", "ping", "server/discover", "tools/list", "resources/list"})
"""Methods that touch no task."""
TASK_METHODS: Final = {"tasks/update": Operation.START, "tasks/cancel": Operation.CANCEL}


def operation(request: Any) -> Operation | None:
    """The operation of a parsed request; None if it touches no task.

    A tool that is not one of the fixed ones starts a template, and an unknown method reads.
    """
    if not isinstance(request, dict):
        return Operation.READ
    method, params = request.get("method"), request.get("params")
    if method == "tools/call":
        name = params.get("name") if isinstance(params, dict) else None
        return _OF_TOOLS.get(name, Operation.START) if isinstance(name, str) else Operation.START
    if not isinstance(method, str):
        return Operation.READ
    return None if method in FREE or method.startswith("notifications/") else TASK_METHODS.get(method, Operation.READ)


def _of_tool(read_only: bool | None, destructive: bool | None) -> Operation:
    if read_only:
        return Operation.READ
    return Operation.CANCEL if destructive else Operation.START


_OF_TOOLS: Final = {
    tool.name: _of_tool(tool.annotations.read_only_hint, tool.annotations.destructive_hint)
    for tool in FIXED
    if tool.annotations is not None
}
