"""Ids in Amazon Bedrock AgentCore Memory: their patterns, and ids derived from a verified identity.

Patterns and lengths are those of the service's API model (version 2024-02-28, CreateEvent). botocore validates minimum
lengths only, so the CRD and every component that accepts an id validate the rest.
"""

import hashlib
import re
from typing import Annotated, Final

from pydantic import Field

MEMORY_ID_PATTERN: Final = (
    r"^(arn:(aws|aws-cn|aws-us-gov):bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:memory/)?"
    r"[a-zA-Z][a-zA-Z0-9_-]{0,99}-[a-zA-Z0-9]{10}$"
)
ACTOR_ID_PATTERN: Final = r"^[a-zA-Z0-9][a-zA-Z0-9_/-]*(:[a-zA-Z0-9_/-]+)*$"
SESSION_ID_PATTERN: Final = r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$"
MAX_MEMORY_ID: Final = 200
MAX_ACTOR_ID: Final = 255
MAX_SESSION_ID: Final = 100

MemoryId = Annotated[
    str, Field(min_length=12, max_length=MAX_MEMORY_ID, pattern=MEMORY_ID_PATTERN, description="Id or ARN of a memory.")
]
ActorId = Annotated[
    str, Field(min_length=1, max_length=MAX_ACTOR_ID, pattern=ACTOR_ID_PATTERN, description="An actor in a memory.")
]
SessionId = Annotated[
    str,
    Field(min_length=1, max_length=MAX_SESSION_ID, pattern=SESSION_ID_PATTERN, description="A session of an actor."),
]

ARCHIVE_PREFIX: Final = "longtask-"
"""Prefix of sessions that hold the record of a task. No conversation may have such an id."""
DERIVED_PREFIX: Final = "longtask:"
"""Prefix of actor ids derived from an identity that is not a valid actor id."""
DEFAULT_SESSION_ID: Final = "longtask"
"""The session of callers that name none. Each of them has its own actor, so their sessions do not collide."""
READABLE_CHARACTERS: Final = 64
"""Characters of an identity that a derived actor id keeps in readable form."""


def actor_of(principal: str) -> str:
    """The actor id of a verified identity that acts for itself; different identities get different ids.

    A name that is a valid actor id, such as system:serviceaccount:agents:researcher, is used unchanged. Any other name
    becomes `longtask:`, its first 64 characters with `-` in place of each invalid one, `:`, and the first 32 hex digits
    of its SHA-256.
    """
    if fits(principal, ACTOR_ID_PATTERN, MAX_ACTOR_ID) and not principal.startswith(DERIVED_PREFIX):
        return principal
    readable = re.sub(r"[^a-zA-Z0-9_-]", "-", principal[:READABLE_CHARACTERS])
    return f"{DERIVED_PREFIX}{readable}:{hashlib.sha256(principal.encode()).hexdigest()[:32]}"


def archive_session(task_uid: str) -> str:
    """Id of the session, under the task's actor, that holds the record of the task with this uid."""
    return f"{ARCHIVE_PREFIX}{task_uid}"


def fits(value: str, pattern: str, longest: int) -> bool:
    """Whether a value matches the pattern and has at most `longest` characters."""
    return len(value) <= longest and re.fullmatch(pattern, value, re.ASCII) is not None
