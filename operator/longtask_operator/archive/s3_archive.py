"""Records in the bucket: <prefix>/<namespace>/archive/<requester>/<task uid>.json.

The bucket's lifecycle rule removes them; LongTask never does. Bodies are below <prefix>/<namespace>/<task uid>/, where
the store keeps large data: data from ConfigMaps is copied there, data that is there already stays.
"""

from collections.abc import AsyncIterator

from longtask_api.longtask import Archive, LongTask, Requester
from longtask_api.mcp_names import requester_label
from longtask_api.reports import JSON_MEDIA_TYPE, Reference
from longtask_operator.archive import record
from longtask_operator.archive.models import Caller, Entry, Found, Load
from longtask_operator.store.errors import NotStored
from longtask_operator.store.owner import Owner
from longtask_operator.store.s3 import S3
from longtask_operator.store.store import Store
from longtask_runtime import clock

BINARY_MEDIA_TYPE = "application/octet-stream"
MAX_KEYS = 10_000
"""Records of a caller that a list reads."""
SUFFIX = ".json"


class S3Archive:
    """The records of all callers. Every method raises StoreUnavailable."""

    def __init__(self, bucket: S3, store: Store) -> None:
        """`store` must be able to read `bucket`."""
        self._bucket = bucket
        self._store = store

    async def put(self, task: LongTask, requester: Requester, load: Load) -> Archive:
        """Unless the record exists, copy the data that is deleted with the object, then write the record. Raises what
        `load` raises.

        Every attempt writes under the same keys.
        """
        key = _key(Caller(requester.principal, requester.actor_id), task.metadata.uid)
        try:
            _, uri, moment = await self._bucket.read(key)
        except NotStored:
            moved: dict[str, str] = {}
            for each in record.in_config_maps(task):
                if (data := await load(each.reference)) is not None:
                    copy = f"{task.metadata.uid}/archived-{each.reference.sha256}"
                    media_type = each.media_type or BINARY_MEDIA_TYPE
                    moved[each.reference.uri] = await self._bucket.write(copy, media_type, data)
            uri = await self._bucket.write(key, JSON_MEDIA_TYPE, record.written(task, moved))
            moment = clock.now()
        return Archive(uri=uri, archived_time=moment)

    async def get(self, caller: Caller, uid: str) -> tuple[bytes, Archive] | None:
        """The caller's record, and where it is."""
        try:
            data, uri, moment = await self._bucket.read(_key(caller, uid))
        except NotStored:
            return None
        return data, Archive(uri=uri, archived_time=moment)

    async def entries(self, caller: Caller) -> Found:
        """The caller's records, by the time when they were written."""
        listed, all_of_them = await self._bucket.listed(_folder(caller), MAX_KEYS)
        uids = {each.key.removesuffix(SUFFIX): each.modified for each in listed if each.key.endswith(SUFFIX)}
        entries = [Entry.at(moment, uid) for uid, moment in uids.items() if record.UID.fullmatch(uid)]
        return Found(entries, None if all_of_them else f"of the records in the bucket only {MAX_KEYS} were looked at")

    def body(self, caller: Caller, task: LongTask, reference: Reference, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes from `start` to before `end` of a body of a record that `get` returned. Raises NotStored."""
        return self._store.get(Owner(task.metadata.name, task.metadata.uid), reference, start, end)


def _folder(caller: Caller) -> str:
    return f"archive/{requester_label(caller.principal, caller.actor_id)}"


def _key(caller: Caller, uid: str) -> str:
    return f"{_folder(caller)}/{uid}{SUFFIX}"
