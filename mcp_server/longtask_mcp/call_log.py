"""Every call is counted and logged, however it ends."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mcp.shared.exceptions import MCPError

from longtask_mcp import tracing
from longtask_mcp.call import Call
from longtask_mcp.contract.errors import AgentError
from longtask_mcp.metrics import Metrics

log = logging.getLogger(__name__)


@dataclass
class Entry:
    """The entry of a call that has not ended; `task_id` is the task it turns out to be about."""

    task_id: Any


class CallLog:
    """Counts calls of tools and of the methods of the Tasks extension, and writes a line for each."""

    def __init__(self, metrics: Metrics, knows: Callable[[str], bool], quiet: Set[str] = frozenset()) -> None:
        """`knows` tells whether there is a tool or method of that name; all others count as `unknown`. Those in
        `quiet`, which programs send every few seconds, are logged only if they fail.
        """
        self._metrics = metrics
        self._knows = knows
        self._quiet = quiet

    @contextmanager
    def of(self, call: Call) -> Iterator[Entry]:
        """The entry of one call, written when the block ends."""
        begin = time.monotonic()
        outcome, entry = "crash", Entry(call.arguments.get("task_id"))
        try:
            yield entry
            outcome = "ok"
        except (AgentError, MCPError):
            outcome = "error"
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            seconds = time.monotonic() - begin
            tool = call.tool if self._knows(call.tool) else "unknown"
            exemplar = tracing.exemplar()
            self._metrics.calls.labels(tool, outcome).inc(exemplar=exemplar)
            self._metrics.call_seconds.labels(tool).observe(seconds, exemplar)
            level = logging.DEBUG if call.tool in self._quiet and outcome == "ok" else logging.INFO
            log.log(
                level,
                "tool call",
                extra={
                    "tool": call.tool[:100],
                    "caller": call.caller.principal,
                    "actor": call.caller.actor_id,
                    "session": call.caller.session_id,
                    "task_id": str(entry.task_id)[:100] if entry.task_id else None,
                    "outcome": outcome,
                    "seconds": round(seconds, 3),
                    "trace_id": tracing.trace_id(),
                },
            )
