"""Records in an AgentCore memory, each in a session of its own, under the actor that the task belongs to.

The service keeps them for the memory's eventExpiryDuration, which was chosen when the memory was created.

The record and each body are written in pieces, one event each, in Base64. The event's metadata has the SHA-256 of the
whole that the piece belongs to. The record's pieces are written last: a record with all its pieces is complete. No
piece is conversational, so none counts against a session's rate limit, and none is extracted into long-term memory.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from http import HTTPStatus

from longtask_api.agentcore_ids import ARCHIVE_PREFIX, archive_session
from longtask_api.longtask import Archive, LongTask
from longtask_api.reports import Reference
from longtask_operator.agentcore.client import AgentCore
from longtask_operator.agentcore.models import Event, ServiceError, Session
from longtask_operator.archive import record
from longtask_operator.archive.models import EPOCH, Caller, Entry, Found, Load
from longtask_operator.store.errors import NotStored
from longtask_runtime import clock

URI_SCHEME = "agentcore:"
MAX_BODIES = 1024 * 1024
"""Bytes of bodies that are copied into a session; further artifacts are deleted with the LongTask."""
MAX_SESSIONS = 1000
"""Sessions of an actor, including conversations, that a list reads. A page of the service has 100."""
RECORD, BODY = "archive", "archive-part"
"""Values of KIND."""
TASK, KIND, WHOLE, NUMBER = "longtaskUid", "longtaskEvent", "longtaskSha256", "longtaskPart"
"""Keys of an event's metadata."""


class AgentCoreArchive:
    """The records in one memory. Every method raises ServiceError."""

    def __init__(self, service: AgentCore, memory_id: str) -> None:
        self._service = service
        self._memory_id = memory_id

    async def put(self, task: LongTask, actor_id: str, load: Load) -> Archive:
        """Write the record and its bodies, as far as an earlier attempt has not. Raises what `load` raises.

        A piece has the same time, content and clientToken in every attempt.
        """
        uid = task.metadata.uid
        session = self._session(actor_id, uid)
        events = await self._events(session, {})
        if (found := _record(events)) is not None:
            return Archive(uri=_uri(session), archived_time=found[1])
        there = {(event.metadata.get(WHOLE), event.metadata.get(NUMBER)) for event in events}
        moment = task.status.completion_time or EPOCH
        for kind, data in await self._wholes(session, task, load):
            whole = hashlib.sha256(data).hexdigest()
            for number, piece in enumerate(record.pieces(data)):
                if (whole, str(number)) not in there:
                    payload = [{"blob": base64.b64encode(piece).decode()}]
                    told = {TASK: uid, KIND: kind, WHOLE: whole, NUMBER: str(number)}
                    token = hashlib.sha256(f"{uid}/{whole}/{number}".encode()).hexdigest()
                    await self._service.create_event(session, moment, payload, told, token, extract=False)
                moment += timedelta(milliseconds=1)
        return Archive(uri=_uri(session), archived_time=clock.now())

    async def get(self, caller: Caller, uid: str) -> tuple[bytes, Archive] | None:
        """The record and its location, if kept for the caller's actor, whichever principal requested the task."""
        session = self._session(caller.actor, uid)
        found = _record(await self._events(session, {KIND: RECORD}))
        return (found[0], Archive(uri=_uri(session), archived_time=found[1])) if found is not None else None

    async def entries(self, caller: Caller) -> Found:
        """The records of the caller's actor, by the creation time of their sessions."""
        entries: list[Entry] = []
        seen = 0
        async for page in self._service.sessions(self._memory_id, caller.actor):
            for each in page:
                uid = each.session_id.removeprefix(ARCHIVE_PREFIX)
                if each.session_id == archive_session(uid) and record.UID.fullmatch(uid):
                    entries.append(Entry.at(each.created, uid))
            seen += len(page)
            if seen >= MAX_SESSIONS:
                told = f"of actor {caller.actor} in memory {self._memory_id} only {seen} sessions were looked at"
                return Found(entries, told)
        return Found(entries)

    async def body(
        self, caller: Caller, task: LongTask, reference: Reference, start: int, end: int
    ) -> AsyncIterator[bytes]:
        """Bytes from `start` to before `end` of a body of a record that `get` returned to the caller. Raises NotStored.

        Only the record's own session is read, whatever the record refers to: other clients may write events into the
        memory too.
        """
        session = self._session(caller.actor, task.metadata.uid)
        if reference.uri != _uri(session):
            raise NotStored(f"{reference.uri} is not kept with the record of task {task.metadata.uid}")
        numbers = range(start // record.PIECE, -(-end // record.PIECE))
        whole = start == 0 and end == reference.size
        digest = hashlib.sha256()
        for number in numbers:
            events = await self._events(session, {KIND: BODY, WHOLE: reference.sha256, NUMBER: str(number)})
            if not events:
                raise NotStored(f"part {number} of {reference.sha256} is no longer in {reference.uri}")
            piece = _content(events[0])
            digest.update(piece)
            if whole and number == numbers[-1] and digest.hexdigest() != reference.sha256:
                raise NotStored(f"what is in {reference.uri} does not have the SHA-256 {reference.sha256}")
            first = number * record.PIECE
            yield piece[max(0, start - first) : end - first]

    async def _wholes(self, session: Session, task: LongTask, load: Load) -> list[tuple[str, bytes]]:
        """Kind and bytes of everything to write, the record last."""
        moved: dict[str, str] = {}
        wholes: list[tuple[str, bytes]] = []
        for each in record.fitting(record.in_config_maps(task), MAX_BODIES):
            if (data := await load(each.reference)) is not None:
                moved[each.reference.uri] = _uri(session)
                wholes.append((BODY, data))
        return [*wholes, (RECORD, record.written(task, moved))]

    async def _events(self, session: Session, metadata: dict[str, str]) -> list[Event]:
        """Newest first; none if the session, or the memory, does not exist."""
        try:
            return [event async for page in self._service.events(session, metadata=metadata) for event in page]
        except ServiceError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return []
            raise

    def _session(self, actor_id: str, uid: str) -> Session:
        return Session(self._memory_id, actor_id, archive_session(uid))


def _uri(session: Session) -> str:
    return f"{URI_SCHEME}{session.memory_id}/{session.actor_id}/{session.session_id}"


def _record(newest_first: Iterable[Event]) -> tuple[bytes, datetime] | None:
    """The newest record with all its pieces, and its time."""
    wholes: dict[str, dict[int, Event]] = defaultdict(dict)
    for event in newest_first:
        if event.metadata.get(KIND) == RECORD and event.metadata.get(NUMBER, "").isdecimal():
            wholes[event.metadata.get(WHOLE, "")][int(event.metadata[NUMBER])] = event
    for whole, events in wholes.items():
        data = b"".join(_content(events[number]) for number in sorted(events))
        if hashlib.sha256(data).hexdigest() == whole:
            return data, max(event.time for event in events.values())
    return None


def _content(event: Event) -> bytes:
    """The event's bytes; empty if it was not written by this operator."""
    try:
        return base64.b64decode(event.payload[0]["blob"], validate=True)
    except (IndexError, KeyError, TypeError, ValueError):
        return b""
