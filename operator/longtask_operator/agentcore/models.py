"""Data of AgentCore Memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


class ServiceError(Exception):
    """The service refused, or did not answer. `code` is the service's error code, or the name of botocore's exception;
    `status` is the HTTP status, None without an answer. The message is a sentence without secrets.
    """

    def __init__(self, code: str, status: int | None, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Session:
    """A session (conversation) of an actor in a memory."""

    memory_id: str
    actor_id: str
    session_id: str


@dataclass(frozen=True)
class SessionSummary:
    """A session as listed."""

    session_id: str
    created: datetime


@dataclass(frozen=True)
class Event:
    """An event of a session. `payload` has the items as botocore returns them: conversational, blob or json."""

    event_id: str
    time: datetime
    payload: tuple[Mapping[str, Any], ...]
    metadata: Mapping[str, str]
