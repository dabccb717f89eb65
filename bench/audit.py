"""What the API server's own audit log says was asked of it, and when."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One answered request."""

    agent: str
    user: str
    verb: str
    resource: str
    """With its subresource: `longtasks/status`."""
    name: str
    answered: datetime
    ok: bool


class AuditLog:
    """The part of the log that is written after this was made, for one namespace."""

    def __init__(self, path: Path, namespace: str) -> None:
        self._path = path
        self._namespace = namespace
        self._from = path.stat().st_size

    def requests(self) -> Iterator[Request]:
        """All of them so far, in the order of their answers."""
        with self._path.open("rb") as file:
            file.seek(self._from)
            for line in file:
                entry: dict[str, Any] = json.loads(line)
                about = entry.get("objectRef") or {}
                if about.get("namespace") == self._namespace and entry["stage"] == "ResponseComplete":
                    yield _request(entry, about)


def _request(entry: dict[str, Any], about: dict[str, Any]) -> Request:
    subresource = about.get("subresource")
    return Request(
        agent=entry.get("userAgent", ""),
        user=entry["user"]["username"],
        verb=entry["verb"],
        resource=about["resource"] + (f"/{subresource}" if subresource else ""),
        name=about.get("name", ""),
        answered=datetime.fromisoformat(entry["stageTimestamp"]),
        ok=entry["responseStatus"].get("code", 500) < 300,
    )
