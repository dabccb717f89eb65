"""Delegation: maps X-LongTask-* headers of trusted principals to an actor, session and memory. Pure.

Ids in headers are used as they are or refused, never normalized: the agent opens its memory under the same ids.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from starlette.datastructures import Headers

from longtask_api.agentcore_ids import (
    ACTOR_ID_PATTERN,
    ARCHIVE_PREFIX,
    DEFAULT_SESSION_ID,
    MAX_ACTOR_ID,
    MAX_MEMORY_ID,
    MAX_SESSION_ID,
    MEMORY_ID_PATTERN,
    SESSION_ID_PATTERN,
    actor_of,
    fits,
)
from longtask_api.longtask import Memory
from longtask_mcp.contract.callers import Caller

MEMORY: Final = "X-LongTask-Memory-Id"
ACTOR: Final = "X-LongTask-Actor-Id"
SESSION: Final = "X-LongTask-Session-Id"
COMPOSITE: Final = "Mcp-Session-Id"
"""All three ids as session@@@memory@@@actor, for agents that can set no other header."""
SEPARATOR: Final = "@@@"
SHAPES: Final[Mapping[str, tuple[str, int]]] = {
    SESSION: (SESSION_ID_PATTERN, MAX_SESSION_ID),
    MEMORY: (MEMORY_ID_PATTERN, MAX_MEMORY_ID),
    ACTOR: (ACTOR_ID_PATTERN, MAX_ACTOR_ID),
}
"""Pattern and maximum length of each id, in the order of the composite."""
SHOWN_CHARACTERS = 100


class BadHeaders(Exception):
    """The headers are invalid; the text says which and why."""


class Forbidden(Exception):
    """The caller is authenticated but not authorized."""


@dataclass(frozen=True)
class Delegation:
    """The delegation rules of one server."""

    trusted_principals: Collection[str] = ()
    memory_ids: Collection[str] = ()
    default_memory_id: str | None = None

    def caller(self, principal: str, headers: Headers, verified_actor: str | None = None) -> Caller:
        """The caller for a verified principal, the actor that its token names, if any, and these headers.

        Raises BadHeaders or Forbidden.
        """
        given = _given(headers)
        if not given:
            memory = _memory(self.default_memory_id, verified_actor or actor_of(principal), DEFAULT_SESSION_ID)
            return Caller(principal, verified_actor, memory=memory)
        if principal not in self.trusted_principals:
            raise Forbidden(
                f"{principal} may not speak for others, so {', '.join(given)} cannot be taken from it; list the "
                "account in mcp.trustedPrincipals of the chart's values, or leave the headers out"
            )
        ids = _ids(given)
        memory_id, session_id = ids.get(MEMORY), ids.get(SESSION)
        actor_id = ids.get(ACTOR) or verified_actor
        if verified_actor not in (None, actor_id):
            raise Forbidden(f"the token is {verified_actor}'s, so it cannot speak for {actor_id}")
        if memory_id is not None and memory_id not in self.memory_ids:
            raise Forbidden(
                f"memory {memory_id} may not be written to from here; list it in memory.memoryIds of the chart's values"
            )
        if actor_id is None:
            raise BadHeaders(f"{ACTOR} is missing: without it, {' and '.join(ids)} cannot be used")
        if memory_id is not None and session_id is None:
            raise BadHeaders(f"{SESSION} is missing: without it, {MEMORY} cannot be used")
        memory = _memory(memory_id or self.default_memory_id, actor_id, session_id)
        return Caller(principal, actor_id, session_id, memory)


def _memory(memory_id: str | None, actor_id: str, session_id: str | None) -> Memory | None:
    if memory_id is None or session_id is None:
        return None
    return Memory(memory_id=memory_id, actor_id=actor_id, session_id=session_id)


def _given(headers: Headers) -> dict[str, list[str]]:
    """The delegation headers that were sent. An MCP session id without the separator, percent-encoded or not, is not
    one.
    """
    composite = [value for value in headers.getlist(COMPOSITE) if SEPARATOR in unquote(value)]
    given = {name: headers.getlist(name) for name in SHAPES} | {COMPOSITE: composite}
    return {name: values for name, values in given.items() if values}


def _ids(given: Mapping[str, list[str]]) -> dict[str, str]:
    """The ids, each under the name of its own header: SESSION, MEMORY or ACTOR. Raises BadHeaders."""
    repeated = [name for name, values in given.items() if len(values) > 1]
    if repeated:
        raise BadHeaders(f"{repeated[0]} is there {len(given[repeated[0]])} times; send it once")
    single = {name: values[0] for name, values in given.items()}
    composite = single.pop(COMPOSITE, None)
    for name, value in single.items():
        _check(name, value, name)
    if composite is None:
        return single
    parts = composite.split(SEPARATOR)
    if len(parts) != len(SHAPES):
        raise BadHeaders(f"{COMPOSITE}: {_shown(composite)} is not session{SEPARATOR}memory{SEPARATOR}actor")
    combined = dict(zip(SHAPES, parts, strict=True))
    for name, value in combined.items():
        _check(name, value, f"{COMPOSITE} (for {name})")
        if single.get(name, value) != value:
            raise BadHeaders(
                f"{name} is {_shown(single[name])}, but {COMPOSITE} has {_shown(value)} for it; send one of the two, "
                "or the same in both"
            )
    return combined


def _check(name: str, value: str, where: str) -> None:
    pattern, longest = SHAPES[name]
    if not fits(value, pattern, longest):
        raise BadHeaders(
            f"{where}: {_shown(value)} does not fit {pattern} with at most {longest} characters; ids are taken as they "
            "are, so send one that fits"
        )
    if name == SESSION and value.startswith(ARCHIVE_PREFIX):
        raise BadHeaders(
            f"{where}: {_shown(value)} begins with {ARCHIVE_PREFIX}, as only the records of tasks may; choose another "
            "session id"
        )


def _shown(value: str) -> str:
    return repr(value) if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]!r}... ({len(value)})"
