"""What the API server's own audit log says was asked of it, and when."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

OPERATOR_AGENTS = ("longtask-operator", "kopf")
SETTLED = 3.0
"""Seconds without any request of the operator after which it counts as done with what there is."""


@dataclass(frozen=True)
class Request:
    """One answered request."""

    agent: str
    user: str
    verb: str
    resource: str
    """With its subresource: `longtasks/status`."""
    name: str
    manager: str
    """The field manager that the request named."""
    answered: datetime
    ok: bool

    @property
    def of_operator(self) -> bool:
        """Apart from the Lease, which it renews whatever there is to do."""
        return self.agent.startswith(OPERATOR_AGENTS) and self.resource != "leases"

    @property
    def writes(self) -> bool:
        """Whether it asks for a change."""
        return self.verb in ("create", "update", "patch", "delete", "deletecollection")


class AuditLog:
    """The part of the log of LONGTASK_AUDIT_LOG that is written after this was made, for one namespace."""

    def __init__(self, namespace: str) -> None:
        self._path = Path(os.environ["LONGTASK_AUDIT_LOG"])
        self._namespace = namespace
        self._from = self._path.stat().st_size

    def requests(self) -> Iterator[Request]:
        """All of them so far, in the order of their answers."""
        with self._path.open("rb") as file:
            file.seek(self._from)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # it is being written
                entry: dict[str, Any] = json.loads(line)
                about = entry.get("objectRef") or {}
                if about.get("namespace") == self._namespace and entry["stage"] == "ResponseComplete":
                    yield _request(entry, about)

    async def settled(self) -> list[Request]:
        """The operator's requests, once it has made none for a while."""
        seen, quiet_since = -1, time.monotonic()
        while time.monotonic() - quiet_since < SETTLED:
            await asyncio.sleep(0.2)
            requests = [request for request in self.requests() if request.of_operator]
            if len(requests) != seen:
                seen, quiet_since = len(requests), time.monotonic()
        return requests


def _request(entry: dict[str, Any], about: dict[str, Any]) -> Request:
    subresource = about.get("subresource")
    query = parse_qs(urlsplit(entry["requestURI"]).query)
    return Request(
        agent=entry.get("userAgent", ""),
        user=entry["user"]["username"],
        verb=entry["verb"],
        resource=about["resource"] + (f"/{subresource}" if subresource else ""),
        name=about.get("name", ""),
        manager=query.get("fieldManager", [""])[0],
        answered=datetime.fromisoformat(entry["stageTimestamp"]),
        ok=entry["responseStatus"].get("code", 500) < 300,
    )
