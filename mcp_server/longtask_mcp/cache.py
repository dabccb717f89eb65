"""The last known state of one kind of object. No I/O: the reflector and the writers feed it."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Set
from typing import Generic, Protocol, TypeVar

from longtask_api.base import ObjectMeta

REMEMBERED_DELETIONS = 10_000


class ApiObject(Protocol):
    """Any object with Kubernetes metadata."""

    @property
    def metadata(self) -> ObjectMeta:
        """metadata.uid, name and resourceVersion are used."""
        ...


T = TypeVar("T", bound=ApiObject)
T_contra = TypeVar("T_contra", bound=ApiObject, contravariant=True)


class Index(Protocol[T_contra]):
    """Notified of every object that is added or removed; a change removes the old version and adds the new one."""

    def add(self, thing: T_contra, /) -> None:
        """An object is cached now, or this version of it."""
        ...

    def remove(self, thing: T_contra, /) -> None:
        """An object, as it was added, is no longer cached."""
        ...


def version(thing: ApiObject) -> int:
    """metadata.resourceVersion, which only increases for an object (KEP-5504: comparable as an integer)."""
    return int(thing.metadata.resource_version or 0)


class Cache(Generic[T]):
    """Objects by uid and by name; an older version never replaces a newer one, from whatever source."""

    def __init__(self, index: Index[T] | None = None) -> None:
        """`index` is kept in step with the cached objects."""
        self._index = index
        self._objects: dict[str, T] = {}
        self._names: dict[str, T] = {}
        self._first_seen: dict[str, int] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._signals: dict[str, asyncio.Event] = {}
        self.changes = 0
        """How often an object was stored or removed."""

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, uid: str) -> T | None:
        """The object with this metadata.uid."""
        return self._objects.get(uid)

    def named(self, name: str) -> T | None:
        """The object with this name."""
        return self._names.get(name)

    def all(self) -> Collection[T]:
        """All objects."""
        return self._objects.values()

    def first_seen(self, uid: str) -> int:
        """The version at which an object was first seen: that of its creation, unless it existed before."""
        return self._first_seen[uid]

    def is_gone(self, uid: str) -> bool:
        """Whether the object is known to be deleted; only the last REMEMBERED_DELETIONS uids are remembered."""
        return uid in self._deleted

    def put(self, thing: T) -> None:
        """Store an object from a list, a watch, a GET or the response to a write; a stale one is ignored."""
        uid = thing.metadata.uid
        known = self._objects.get(uid)
        namesake = self._names.get(thing.metadata.name)
        if uid in self._deleted or (known is not None and version(known) >= version(thing)):
            return
        if namesake is not None and namesake.metadata.uid != uid:
            if version(namesake) > version(thing):
                return
            self.remove(namesake.metadata.uid)
        if known is not None and self._index is not None:
            self._index.remove(known)
        self._objects[uid] = thing
        self._names[thing.metadata.name] = thing
        self._first_seen.setdefault(uid, version(thing))
        self.changes += 1
        if self._index is not None:
            self._index.add(thing)
        self._signal(uid)

    def remove(self, uid: str) -> None:
        """Remove a deleted object. Its uid is never reused, so later events for it are ignored."""
        self._deleted[uid] = None
        while len(self._deleted) > REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)
        thing = self._objects.pop(uid, None)
        if thing is None:
            return
        del self._names[thing.metadata.name], self._first_seen[uid]
        self.changes += 1
        if self._index is not None:
            self._index.remove(thing)
        self._signal(uid)

    def keep(self, listed: Set[str], list_version: int) -> None:
        """Apply a complete list of `list_version`: objects that it lacks are deleted, unless they are newer."""
        gone = [uid for uid, thing in self._objects.items() if uid not in listed and version(thing) <= list_version]
        for uid in gone:
            self.remove(uid)

    async def changed(self, uid: str, seen: int, at_most: float) -> None:
        """Return when the object is no longer at version `seen`, after `at_most` seconds, or at `touch` or `wake`."""
        thing = self._objects.get(uid)
        if thing is None or version(thing) != seen:
            return
        await self._signalled(uid, at_most)

    async def appears(self, uid: str, at_most: float) -> None:
        """Return when the object is cached, after `at_most` seconds, or at `touch` or `wake`."""
        if uid not in self._objects:
            await self._signalled(uid, at_most)
            if uid not in self._objects:
                self._signals.pop(uid, None)

    def touch(self, uid: str) -> None:
        """End all waits for this object now."""
        self._signal(uid)

    def wake(self) -> None:
        """End all waits now."""
        for uid in list(self._signals):
            self._signal(uid)

    async def _signalled(self, uid: str, at_most: float) -> None:
        try:
            await asyncio.wait_for(self._signals.setdefault(uid, asyncio.Event()).wait(), at_most)
        except TimeoutError:
            return

    def _signal(self, uid: str) -> None:
        signal = self._signals.pop(uid, None)
        if signal is not None:
            signal.set()
