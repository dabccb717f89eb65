"""Faults that tests ask for, and the limits that the service has."""

import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentcore_emulator.model import Refusal

SESSION_LIMIT, ACCOUNT_LIMIT = 5, 200
"""CreateEvent with conversational payload a second: of one actor and session, and in all."""
REFUSALS = {
    "throttle": "ThrottledException",
    "error": "ServiceException",
    "conflict": "RetryableConflictException",
    "denied": "AccessDeniedException",
    "invalid": "ValidationException",
    "notFound": "ResourceNotFoundException",
    "quota": "ServiceQuotaExceededException",
}
"""Nothing is done, and this is the answer."""
LOST_ANSWERS = frozenset({"reset", "hang", "resetAfter", "hangAfter", "errorAfter"})
"""Nothing is done (reset, hang) or all of it is (the others), and the answer does not come, or is an error."""


@dataclass
class Fault:
    """`fault` at the next `times` calls that match, after `skip` of them."""

    operation: str
    fault: str
    times: int = 1
    skip: int = 0
    match: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fault not in REFUSALS and self.fault not in LOST_ANSWERS:
            raise ValueError(f"fault: {self.fault!r} is none of {', '.join([*REFUSALS, *sorted(LOST_ANSWERS)])}")

    def meets(self, operation: str, given: Mapping[str, Any]) -> bool:
        """Whether it is about such a call."""
        metadata = {key: each.get("stringValue") for key, each in given.get("metadata", {}).items()}
        wanted = dict(self.match)
        told = wanted.pop("metadata", {})
        return (
            operation == self.operation
            and all(given.get(key) == value for key, value in wanted.items())
            and all(metadata.get(key) == value for key, value in told.items())
        )


class Faults:
    """The script of faults, each of which is played to its end."""

    def __init__(self) -> None:
        self._script: list[Fault] = []

    def add(self, faults: list[Fault]) -> None:
        """Play these too."""
        self._script += faults

    def clear(self) -> None:
        """No more faults."""
        self._script.clear()

    def next(self, operation: str, given: Mapping[str, Any]) -> str | None:
        """The fault of this call."""
        for fault in self._script:
            if not fault.meets(operation, given):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                return None
            if fault.times > 0:
                fault.times -= 1
                return fault.fault
        return None


class Limits:
    """Calls of the last second."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, ...], deque[float]] = defaultdict(deque)

    def take(self, operation: str, given: Mapping[str, Any]) -> None:
        """Raises Refusal for one call too many."""
        if operation != "CreateEvent" or not any("conversational" in item for item in given["payload"]):
            return
        now, session = time.monotonic(), (given["memoryId"], given["actorId"], given.get("sessionId", ""))
        for key, limit in ((session, SESSION_LIMIT), ((), ACCOUNT_LIMIT)):
            calls = self._calls[key]
            while calls and calls[0] <= now - 1:
                calls.popleft()
            if len(calls) >= limit:
                raise Refusal("ThrottledException", f"more than {limit} events a second")
        for key in (session, ()):
            self._calls[key].append(now)
