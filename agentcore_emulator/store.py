"""Events and long-term records in SQLite: what was answered is on disk."""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    memory TEXT, actor TEXT, session TEXT, id TEXT, time INTEGER, tie INTEGER, token TEXT, request TEXT, event TEXT,
    PRIMARY KEY (memory, actor, session, id));
CREATE INDEX IF NOT EXISTS newest ON events (memory, actor, session, time, tie);
CREATE UNIQUE INDEX IF NOT EXISTS event_tokens ON events (memory, token) WHERE token IS NOT NULL;
CREATE TABLE IF NOT EXISTS records (
    memory TEXT, id TEXT PRIMARY KEY, namespace TEXT, created INTEGER, token TEXT, request TEXT, record TEXT);
CREATE INDEX IF NOT EXISTS record_tokens ON records (memory, token);
"""


@dataclass(frozen=True)
class Address:
    """A session of an actor in a memory."""

    memory: str
    actor: str
    session: str


Position = tuple[int, int]
"""Where an event stands: its milliseconds, and a number drawn once that orders those of the same one."""


class Store:
    """All memories. Every change is committed before it returns."""

    def __init__(self, database: Path | str) -> None:
        self._database = sqlite3.connect(database, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + SCHEMA)

    def add_event(
        self, at: Address, milliseconds: int, token: str | None, request: Mapping[str, Any], event: Mapping[str, Any]
    ) -> None:
        """Keep an event; its eventId is its key."""
        tie = secrets.randbits(62)
        row = (*_key(at), event["eventId"], milliseconds, tie, token, json.dumps(request), json.dumps(event))
        self._database.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?)", row)

    def by_token(self, memory: str, token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The request and the event that were first made under a clientToken."""
        query = "SELECT request, event FROM events WHERE memory = ? AND token = ?"
        row = self._database.execute(query, (memory, token)).fetchone()
        return (json.loads(row[0]), json.loads(row[1])) if row else None

    def event(self, at: Address, event_id: str) -> dict[str, Any] | None:
        """One event."""
        query = "SELECT event FROM events WHERE memory = ? AND actor = ? AND session = ? AND id = ?"
        row = self._database.execute(query, (*_key(at), event_id)).fetchone()
        return json.loads(row[0]) if row else None

    def events(self, at: Address, before: Position | None) -> Iterable[tuple[Position, dict[str, Any]]]:
        """Those of a session, newest first, from behind a position on."""
        time, tie = before or (2**62, 2**62)
        query = (
            "SELECT time, tie, event FROM events WHERE memory = ? AND actor = ? AND session = ? "
            "AND (time, tie) < (?, ?) ORDER BY time DESC, tie DESC"
        )
        for row in self._database.execute(query, (*_key(at), time, tie)):
            yield (row[0], row[1]), json.loads(row[2])

    def delete_event(self, at: Address, event_id: str) -> bool:
        """Whether it was there."""
        query = "DELETE FROM events WHERE memory = ? AND actor = ? AND session = ? AND id = ?"
        return self._database.execute(query, (*_key(at), event_id)).rowcount > 0

    def sessions(self, memory: str, actor: str) -> list[tuple[str, int]]:
        """Sessions of an actor and the milliseconds of their first event, the newest first."""
        query = (
            "SELECT session, MIN(time) FROM events WHERE memory = ? AND actor = ? GROUP BY session ORDER BY 2 DESC, 1"
        )
        return self._database.execute(query, (memory, actor)).fetchall()

    def actors(self, memory: str) -> list[str]:
        """Actors that have events."""
        query = "SELECT DISTINCT actor FROM events WHERE memory = ? ORDER BY 1"
        return [row[0] for row in self._database.execute(query, (memory,))]

    def add_records(
        self, memory: str, token: str | None, request: Mapping[str, Any], records: Iterable[Mapping[str, Any]]
    ) -> None:
        """Keep long-term records, all or none."""
        rows = [
            (
                memory,
                each["memoryRecordId"],
                each["namespaces"][0],
                each["createdAt"],
                token,
                json.dumps(request),
                json.dumps(each),
            )
            for each in records
        ]
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO records VALUES (?,?,?,?,?,?,?)", rows)

    def records_by_token(self, memory: str, token: str) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        """The request and the records that were first made under a clientToken."""
        query = "SELECT request, record FROM records WHERE memory = ? AND token = ? ORDER BY rowid"
        rows = self._database.execute(query, (memory, token)).fetchall()
        return (json.loads(rows[0][0]), [json.loads(row[1]) for row in rows]) if rows else None

    def records(self, memory: str) -> list[dict[str, Any]]:
        """All records of a memory, the newest first."""
        query = "SELECT record FROM records WHERE memory = ? ORDER BY created DESC, rowid DESC"
        return [json.loads(row[0]) for row in self._database.execute(query, (memory,))]

    def delete_record(self, memory: str, record_id: str) -> bool:
        """Whether it was there."""
        query = "DELETE FROM records WHERE memory = ? AND id = ?"
        return self._database.execute(query, (memory, record_id)).rowcount > 0


def _key(at: Address) -> tuple[str, str, str]:
    return at.memory, at.actor, at.session
