"""Ids in Amazon Bedrock AgentCore Memory: what they may look like, and those that are made of a verified identity.

The patterns and lengths are those of the service's own model (API version 2024-02-28, CreateEvent). botocore checks
lengths of at least, and nothing else of them, so they are checked here, by the CRD and by whoever takes an id in.
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
"""What sessions begin with that hold the record of a task. No conversation may have such an id."""
DERIVED_PREFIX: Final = "longtask:"
"""What actor ids begin with that stand for an identity whose name is no actor id."""
DEFAULT_SESSION_ID: Final = "longtask"
"""The session of callers that name none: each has an actor of its own."""
READABLE_CHARACTERS: Final = 64


def actor_of(principal: str) -> str:
    """The actor id of a verified identity that speaks for itself; never the same for two identities.

    A name that is an actor id already, such as system:serviceaccount:agents:researcher, is taken as it is. Any other
    becomes `longtask:`, its first 64 characters with `-` for those that an actor id cannot have, `:` and the first 32
    hex digits of its SHA-256.
    """
    if fits(principal, ACTOR_ID_PATTERN, MAX_ACTOR_ID) and not principal.startswith(DERIVED_PREFIX):
        return principal
    readable = re.sub(r"[^a-zA-Z0-9_-]", "-", principal[:READABLE_CHARACTERS])
    return f"{DERIVED_PREFIX}{readable}:{hashlib.sha256(principal.encode()).hexdigest()[:32]}"


def archive_session(task_uid: str) -> str:
    """The session that holds the record of a task, of the same actor."""
    return f"{ARCHIVE_PREFIX}{task_uid}"


def fits(value: str, pattern: str, longest: int) -> bool:
    """Whether a value is an id of the pattern, of at most that many characters."""
    return len(value) <= longest and re.fullmatch(pattern, value, re.ASCII) is not None
