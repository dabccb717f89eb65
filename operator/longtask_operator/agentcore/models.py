"""What the service and its callers talk about."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


class ServiceError(Exception):
    """The service refused, or did not answer. `code` is the service's error code, or the name of botocore's exception;
    `status` the HTTP status, None where no answer came. The text is a sentence without secrets.
    """

    def __init__(self, code: str, status: int | None, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Session:
    """A conversation of an actor."""

    memory_id: str
    actor_id: str
    session_id: str


@dataclass(frozen=True)
class SessionSummary:
    """A session as a list shows it."""

    session_id: str
    created: datetime


@dataclass(frozen=True)
class Event:
    """One entry of a session. `payload` are the items as botocore gives them: conversational, blob or json."""

    event_id: str
    time: datetime
    payload: tuple[Mapping[str, Any], ...]
    metadata: Mapping[str, str]
