"""One tool call: who makes it, what it asks for, and by when it is answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.errors import KubernetesUnavailable
from longtask_mcp.resumption import Resumption
from longtask_mcp.wait_task import Report

ANSWER_SECONDS = 57.0
"""Deadline of a call in seconds after its arrival, before the read of the Lease: clients time out after 60 seconds. All
steps of the call share it."""
WAIT_SECONDS = ANSWER_SECONDS - 2
"""Deadline in seconds for a start's wait and the reads after it, so that it can still answer with the task."""


@dataclass(frozen=True)
class Call:
    """One tool call of a verified caller."""

    caller: Caller
    id: str
    """The client's request id; ids start anew in every session."""
    tool: str
    arguments: Mapping[str, Any]
    report: Report
    resumption: Resumption = field(default_factory=Resumption)
    arrived: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    """Arrival time on the event loop's clock, in seconds."""

    @property
    def began(self) -> float:
        """When it arrived at the replica that began it, on the same clock."""
        return self.arrived - (self.resumption.resumed.seconds if self.resumption.resumed else 0)

    @property
    def key(self) -> Hashable:
        """The key under which `call_key` finds this call."""
        return call_key(self.caller, self.id)


def call_key(caller: Caller, id_: str) -> Hashable:
    """The key of a call: a client that cancels it sends only its id, on another connection."""
    return caller.owner, caller.session_id, id_


@contextlib.asynccontextmanager
async def in_time(call: Call) -> AsyncIterator[None]:
    """Limits the time of a call. Raises KubernetesUnavailable."""
    try:
        async with asyncio.timeout_at(call.arrived + ANSWER_SECONDS):
            yield
    except TimeoutError as error:
        raise KubernetesUnavailable(f"no answer within {ANSWER_SECONDS:g} seconds") from error
