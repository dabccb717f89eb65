"""Who a token proves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from longtask_mcp.contract.operations import Operation
from longtask_runtime.authentication import Identity


@dataclass(frozen=True)
class Subject:
    """The Kubernetes user that a token stands for, the actor that it speaks for, and what it may not do.

    RBAC decides about the user. `lacks` has, for each operation that the token is not good for, the scopes of one that
    would be, and that is also good for what this one is.
    """

    identity: Identity
    actor_id: str | None = None
    lacks: Mapping[Operation, tuple[str, ...]] = field(default_factory=dict)
