"""Results of tool calls as the protocol has them."""

import logging
from collections.abc import Awaitable
from typing import TypeVar

from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.errors import AgentError, Crashed

T = TypeVar("T")

log = logging.getLogger(__name__)


def of_answer(answer: Answer) -> CallToolResult:
    """The result of a call that succeeded."""
    return CallToolResult(
        content=[TextContent(type="text", text=answer.text)], structured_content=answer.envelope, is_error=False
    )


async def or_error(tool: str, work: Awaitable[T]) -> T | CallToolResult:
    """What `work` returns; every failure but an error of the protocol is a result with isError."""
    try:
        return await work
    except AgentError as error:
        return _of_error(error)
    except MCPError:
        raise
    except Exception:
        log.exception("tool %r crashed", tool)
        return _of_error(
            Crashed(f"{tool[:100]} failed inside the server; nothing more is known. Calling again may help.")
        )


def _of_error(error: AgentError) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=str(error))], structured_content=error.envelope, is_error=True
    )
