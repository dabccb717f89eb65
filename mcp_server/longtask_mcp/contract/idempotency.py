"""When two starts are one. Pure: names and comparisons."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from longtask_api.longtask import LongTask
from longtask_mcp.contract.callers import Caller, owner, session
from longtask_mcp.contract.facts import age

KEYED_WINDOW = timedelta(hours=24)
UNKEYED_WINDOW = timedelta(seconds=60)
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""As in names that Kubernetes makes: no vowels, so no words."""
SUFFIX_LENGTH = 5


class Relation(Enum):
    """What an existing task is to a new start."""

    SAME = "same"
    """The same start again: answer with this task."""
    CONFLICT = "conflict"
    """Another start under the same key."""
    UNRELATED = "unrelated"


@dataclass(frozen=True)
class Start:
    """A wish to start a task; `parameters` have their defaults filled in."""

    caller: Caller
    template: str
    parameters: dict[str, Any]
    key: str | None

    def task_name(self, n: int) -> str:
        """The n-th name for this start: the same on every replica, so that a repeated create meets itself."""
        identity = ["key", self.key] if self.key is not None else ["parameters", canonical(self.parameters)]
        who = [self.caller.principal, self.caller.actor_id, self.caller.session_id]
        seed = json.dumps([who if any(who[1:]) else who[0], self.template, *identity, n])
        number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
        letters = []
        for _ in range(SUFFIX_LENGTH):
            number, index = divmod(number, len(ALPHABET))
            letters.append(ALPHABET[index])
        return f"{self.template}-{''.join(letters)}"

    def relation(self, task: LongTask, now: datetime) -> Relation:
        """What `task` is to this start at the time `now`."""
        same_start = (
            owner(task) == self.caller.owner
            and session(task) == self.caller.session_id
            and task.spec.template_ref.name == self.template
            and task.spec.idempotency_key == self.key
            and task.metadata.deletion_timestamp is None
        )
        window = UNKEYED_WINDOW if self.key is None else KEYED_WINDOW
        if not same_start or age(task, now) > window:
            return Relation.UNRELATED
        if canonical(task.spec.parameters) == canonical(self.parameters):
            return Relation.SAME
        return Relation.UNRELATED if self.key is None else Relation.CONFLICT


def canonical(value: Any) -> str:
    """JSON text that is the same for values that JSON storage makes the same: 1.0 and 1, 2^63 and its float.

    Raises ValueError for what JSON storage cannot hold: NaN, infinities, numbers beyond a float, lone surrogates,
    hundreds of levels.
    """
    try:
        text = json.dumps(_stored(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (OverflowError, RecursionError) as error:
        raise ValueError("a number is too large or the nesting is too deep") from error
    return text


def _stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stored(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_stored(child) for child in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)
    return value
