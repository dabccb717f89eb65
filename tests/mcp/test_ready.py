"""When a replica says that it is not ready."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from longtask_mcp.app import Server
from longtask_runtime.reflector import DEAD_SECONDS, Pulse


def server(*, synced: bool = True) -> tuple[Server, Pulse]:
    pulse, listed = Pulse(), asyncio.Event()
    if synced:
        listed.set()
    reflectors: Any = {"longtasks": SimpleNamespace(synced=listed, pulse=pulse)}
    nothing = cast(Any, None)
    return Server(nothing, reflectors, nothing, nothing, nothing, asyncio.Event()), pulse


async def test_a_replica_whose_watch_is_silent_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that stays open and delivers nothing."""
    replica, pulse = server()
    assert replica.not_ready() is None
    later = time.monotonic() + DEAD_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert replica.not_ready() is not None
    assert "nothing was heard of longtasks for" in str(replica.not_ready())
    pulse.beat()
    assert replica.not_ready() is None


async def test_a_replica_is_not_ready_before_the_first_list_and_once_it_stops() -> None:
    assert server(synced=False)[0].not_ready() == "tasks and templates are not listed yet"
    replica, _ = server()
    replica.stopping.set()
    assert replica.not_ready() == "stopping"
