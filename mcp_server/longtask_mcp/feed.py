"""Parses listed and watched objects and puts them into a cache."""

import logging
from collections.abc import Callable, Mapping, Set
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from longtask_mcp.cache import ApiObject, Cache, version

T = TypeVar("T", bound=ApiObject)

log = logging.getLogger(__name__)


class Feed(Generic[T]):
    """A reflector's store of one kind of object (longtask_runtime.reflector.Store)."""

    def __init__(self, read: Callable[[Any], T], cache: Cache[T]) -> None:
        """`read` makes the model from a decoded object, or raises pydantic.ValidationError."""
        self._model = read
        self._cache = cache

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        """Whether this version, or a newer one, is in the cache."""
        known = self._cache.get(metadata["uid"])
        return known is not None and version(known) >= int(metadata["resourceVersion"])

    def take(self, document: dict[str, Any]) -> None:
        """Cache an object; one that cannot be parsed is logged and left out."""
        try:
            self._cache.put(self._model(document))
        except ValidationError as error:
            log.warning("%s %s is not readable: %s", document.get("kind"), document["metadata"]["name"], error)

    def lose(self, document: dict[str, Any]) -> None:
        """Remove a deleted object."""
        self._cache.remove(document["metadata"]["uid"])

    def keep(self, listed: Set[str], version: int) -> None:
        """Remove the objects that a complete list of that version does not have."""
        self._cache.keep(listed, version)
