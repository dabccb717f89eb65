"""Idempotent starts: deterministic task names, and which existing task equals a new start. Pure."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Any

from longtask_api import constants
from longtask_api.canonical import canonical, digest_of
from longtask_api.longtask import LongTask, RerunOf
from longtask_mcp.contract.callers import Caller, owner, session
from longtask_mcp.contract.known import digest
from longtask_mcp.contract.task_status import age

KEYED_WINDOW = timedelta(hours=24)
UNKEYED_WINDOW = timedelta(seconds=120)
"""Longer than clients wait for an answer before they retry a start: 60 seconds, mostly."""
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""As in names that Kubernetes generates: without vowels, so that no words appear."""
SUFFIX_LENGTH = 5


class Relation(Enum):
    """How an existing task relates to a new start."""

    SAME = "same"
    """The same start again: answer with this task."""
    CONFLICT = "conflict"
    """A start with the same key and other parameters, or a rerun of another task."""
    UNRELATED = "unrelated"


@dataclass(frozen=True)
class Start:
    """A request to start a task. `parameters` have their defaults filled in before the task is created; `given` is the
    digest of the parameters as they were sent. `rerun_of` is the earlier task that is run again.
    """

    caller: Caller
    template: str
    parameters: dict[str, Any]
    key: str | None
    given: str | None = None
    rerun_of: RerunOf | None = None

    @cached_property
    def digest(self) -> str:
        """Digest that identifies the parameters."""
        return digest_of(self.parameters)

    def task_name(self, n: int) -> str:
        """The n-th candidate name: the same on every replica, so that a repeated create meets the task of the first."""
        identity = ["key", self.key] if self.key is not None else ["parameters", canonical(self.parameters)]
        if self.key is None and self.rerun_of is not None:
            identity.append(canonical(self.rerun_of.to_api()))
        who = [self.caller.principal, self.caller.actor_id, self.caller.session_id]
        seed = json.dumps([who if any(who[1:]) else who[0], self.template, *identity, n])
        number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
        letters = []
        for _ in range(SUFFIX_LENGTH):
            number, index = divmod(number, len(ALPHABET))
            letters.append(ALPHABET[index])
        return f"{self.template}-{''.join(letters)}"

    def relation(self, task: LongTask, now: datetime) -> Relation:
        """How `task` relates to this start at the time `now`."""
        if not self._is_of_the_same(task, now):
            return Relation.UNRELATED
        if (digest(task) == self.digest and self._reruns_the_same(task)) or self.is_met_by(task, now):
            return Relation.SAME
        return Relation.UNRELATED if self.key is None else Relation.CONFLICT

    def is_met_by(self, task: LongTask, now: datetime) -> bool:
        """Whether `task` came from the same key and the same parameters as sent, even if the template changed since."""
        if self.key is None or self.given is None or not self._is_of_the_same(task, now):
            return False
        if not self._reruns_the_same(task):
            return False
        return self.given in (task.metadata.annotations.get(constants.ANNOTATION_GIVEN), digest(task))

    def _reruns_the_same(self, task: LongTask) -> bool:
        return task.spec.rerun_of == self.rerun_of

    def _is_of_the_same(self, task: LongTask, now: datetime) -> bool:
        """Whether caller, session, template and key are equal, and the task is young enough to be a duplicate."""
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
