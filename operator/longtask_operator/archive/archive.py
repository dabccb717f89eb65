"""Records that outlive their LongTasks: written once when a task has ended, readable by the task's requester.

If a bucket is configured, all records go there. Otherwise the record of a task with a memory goes into that memory.
Without either there is no archive: the LongTask itself is the record, until it expires.
"""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus

from longtask_api import longtask
from longtask_api.longtask import LongTask
from longtask_api.reports import Reference
from longtask_operator.agentcore.client import AgentCore
from longtask_operator.agentcore.models import ServiceError
from longtask_operator.archive import record
from longtask_operator.archive.agentcore_archive import AgentCoreArchive
from longtask_operator.archive.models import Body, Caller, Entry, Listing, MemoryNotAllowed
from longtask_operator.archive.s3_archive import S3Archive
from longtask_operator.store.errors import NotStored
from longtask_operator.store.owner import Owner
from longtask_operator.store.store import Store

logger = logging.getLogger(__name__)

MAX_MEMORIES = 10
"""Memories that are searched for a caller."""
READS = 8
"""Records that are read concurrently for a page."""
LISTS = 4
LIST_LIFE = 60.0
"""How many callers' lists, of some megabytes each, are cached at most, and for how many seconds: further pages of a
list show what existed at its first page."""

_Place = S3Archive | AgentCoreArchive
_All = tuple[dict[Entry, _Place], list[str]]


class Archive:
    """All records. Its methods raise StoreUnavailable and ServiceError if the bucket or a memory fails."""

    def __init__(self, store: Store, service: AgentCore | None, memory_ids: Sequence[str]) -> None:
        """`service` is None if no region is configured; only the memories in `memory_ids` are used."""
        self._store = store
        self._service = service
        self._memory_ids = memory_ids
        self._in_bucket = S3Archive(store.bucket, store) if store.bucket is not None else None
        self._lists: dict[Caller, tuple[float, _All]] = {}

    def takes(self, task: LongTask) -> bool:
        """Whether to archive a task: it has ended, its record has a destination and a requester who can read it. Not a
        task restored from a backup, which ended under another uid, nor one that was taken back, which counts as never
        created.
        """
        if task.is_record or task.is_taken_back:
            return False
        placed = self._in_bucket is not None or task.spec.memory is not None
        return task.is_terminal and task.spec.requester is not None and placed

    async def put(self, task: LongTask) -> longtask.Archive | None:
        """Archive a task, complete as the API server has it; returns where, or None if `takes` refuses it.

        May be repeated after an attempt that failed at any point: it continues from there, and there is one record.
        """

        async def load(reference: Reference) -> bytes | None:
            try:
                return b"".join([chunk async for chunk in self._store.get(_owner(task), reference)])
            except NotStored as error:
                logger.warning("not archived: %s", error, extra={"task": task.metadata.name})
                return None

        requester, memory = task.spec.requester, task.spec.memory
        if not self.takes(task) or requester is None:
            return None
        if self._in_bucket is not None:
            return await self._in_bucket.put(task, requester, load)
        return await self._in_memory(memory.memory_id).put(task, memory.actor_id, load) if memory is not None else None

    async def get(self, caller: Caller, uid: str) -> LongTask | None:
        """The task as it ended, with status.archive; None if the caller has no such record.

        Raises MemoryNotAllowed.
        """
        found = await self._find(caller, uid)
        return found[1] if found is not None else None

    async def body(self, caller: Caller, uid: str, artifact: str | None) -> Body | None:
        """The artifact with this name (None: the result) of a record of the caller; None if it is not stored. Raises
        MemoryNotAllowed, and NotStored for data that was deleted with the LongTask.
        """
        found = await self._find(caller, uid)
        stored = record.stored(found[1], artifact) if found is not None else None
        if found is None or stored is None:
            return None
        (place, task), reference = found, stored.reference
        if reference.uri.startswith(record.CONFIG_MAP):
            raise NotStored(
                f"{reference.uri} was deleted with the LongTask: all that is archived in a memory has at most 1 MiB. "
                "With operator.store.s3 in the chart's values what later tasks give is kept"
            )
        return Body(
            reference,
            stored.media_type,
            lambda start, end: place.body(caller, task, reference, start, reference.size if end is None else end),
        )

    async def page(self, caller: Caller, limit: int, cursor: str | None) -> Listing:
        """Summaries of the caller's records, the last archived first. A page covers `limit` entries and is shorter if
        some are another caller's (two principals may share an actor).

        Raises MemoryNotAllowed, and ValueError for an invalid cursor.
        """
        before = Entry.from_cursor(cursor) if cursor is not None else None
        known, notes = await self._all(caller, anew=before is None)
        following = sorted((entry for entry in known if before is None or entry < before), reverse=True)
        shown = following[:limit]
        tasks: list[LongTask | None] = []
        for start in range(0, len(shown), READS):
            some = shown[start : start + READS]
            tasks += await asyncio.gather(*(_read(known[entry], caller, entry.uid) for entry in some))
        return Listing(
            tasks=[record.summary(task) for task in tasks if task is not None],
            cursor=shown[-1].cursor if len(following) > limit else None,
            notes=notes,
        )

    async def _all(self, caller: Caller, *, anew: bool) -> _All:
        """All entries of a caller with their locations, and notes on what was not read."""
        places, now = self._places(caller), asyncio.get_running_loop().time()
        self._lists = {each: (since, kept) for each, (since, kept) in self._lists.items() if now < since + LIST_LIFE}
        if not anew and caller in self._lists:
            return self._lists[caller][1]
        known: dict[Entry, _Place] = {}
        notes: list[str] = []
        for place in places:
            found = await place.entries(caller)
            elsewhere = {entry.uid for entry in known}
            known |= {entry: place for entry in found.entries if entry.uid not in elsewhere}
            notes += [found.left_out] if found.left_out is not None else []
        self._lists.pop(caller, None)
        while len(self._lists) >= LISTS:
            del self._lists[next(iter(self._lists))]
        self._lists[caller] = now, (known, notes)
        return known, notes

    async def _find(self, caller: Caller, uid: str) -> tuple[_Place, LongTask] | None:
        places = self._places(caller)
        if record.UID.fullmatch(uid):
            for place in places:
                if (task := await _read(place, caller, uid)) is not None:
                    return place, task
        return None

    def _places(self, caller: Caller) -> list[_Place]:
        """Where the caller's records may be: the bucket, the memory it uses now, other memories."""
        own = [caller.memory_id] if caller.memory_id is not None else []
        if not set(own) <= set(self._memory_ids):
            raise MemoryNotAllowed(f"memory {caller.memory_id} is not in memory.memoryIds of the chart's values")
        in_bucket = [self._in_bucket] if self._in_bucket is not None else []
        if self._service is None:
            return [*in_bucket]
        memories = list(dict.fromkeys([*own, *self._memory_ids]))[:MAX_MEMORIES]
        return [*in_bucket, *(AgentCoreArchive(self._service, each) for each in memories)]

    def _in_memory(self, memory_id: str) -> AgentCoreArchive:
        if self._service is None:
            text = "memory.region is not set in the chart's values"
            raise ServiceError("MemoryNotConfigured", HTTPStatus.FORBIDDEN, text)
        if memory_id not in self._memory_ids:
            text = f"memory {memory_id} is not in memory.memoryIds of the chart's values: add it, or leave it"
            raise ServiceError("MemoryNotAllowed", HTTPStatus.FORBIDDEN, text)
        return AgentCoreArchive(self._service, memory_id)


async def _read(place: _Place, caller: Caller, uid: str) -> LongTask | None:
    """The record with its location, if it can be read and the caller requested the task."""
    found = await place.get(caller, uid)
    if found is None:
        return None
    data, archive = found
    try:
        task = record.read(data)
    except ValueError as error:
        logger.warning("no record can be read in the archive: %s", error, extra={"uri": archive.uri})
        return None
    if task.metadata.uid != uid or not record.belongs_to(task, caller):
        logger.warning("a record was asked for that is another caller's", extra={"uri": archive.uri})
        return None
    return task.model_copy(update={"status": task.status.model_copy(update={"archive": archive})})


def _owner(task: LongTask) -> Owner:
    return Owner(task.metadata.name, task.metadata.uid)
