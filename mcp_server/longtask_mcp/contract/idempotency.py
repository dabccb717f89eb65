"""When two starts are one. Pure: names and comparisons."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Any

from longtask_api import constants
from longtask_api.longtask import LongTask
from longtask_mcp.contract.callers import Caller, owner, session
from longtask_mcp.contract.known import canonical, digest, digest_of
from longtask_mcp.contract.task_status import age

KEYED_WINDOW = timedelta(hours=24)
UNKEYED_WINDOW = timedelta(seconds=120)
"""Longer than a client waits for the answer to a start before it sends the same again: 60 seconds, mostly."""
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
    """A wish to start a task; `parameters` have their defaults filled in, `given` is the digest of those that came."""

    caller: Caller
    template: str
    parameters: dict[str, Any]
    key: str | None
    given: str | None = None

    @cached_property
    def digest(self) -> str:
        """What tells the parameters from others."""
        return digest_of(self.parameters)

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
        if not self._is_of_the_same(task, now):
            return Relation.UNRELATED
        if digest(task) == self.digest or self.is_met_by(task, now):
            return Relation.SAME
        return Relation.UNRELATED if self.key is None else Relation.CONFLICT

    def is_met_by(self, task: LongTask, now: datetime) -> bool:
        """Whether `task` came of the same key and the same parameters as they came, whatever a template makes of them
        now.
        """
        if self.key is None or self.given is None or not self._is_of_the_same(task, now):
            return False
        return self.given in (task.metadata.annotations.get(constants.ANNOTATION_GIVEN), digest(task))

    def _is_of_the_same(self, task: LongTask, now: datetime) -> bool:
        """Caller, session, template and key, in the time in which these are one."""
        window = UNKEYED_WINDOW if self.key is None else KEYED_WINDOW
        return (
            owner(task) == self.caller.owner
            and session(task) == self.caller.session_id
            and task.spec.template_ref.name == self.template
            and task.spec.idempotency_key == self.key
            and task.metadata.deletion_timestamp is None
            and not task.is_taken_back
            and age(task, now) <= window
        )
