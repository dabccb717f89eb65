"""Conditions as the Kubernetes API conventions define them ("Typical status properties")."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from longtask_api.base import ApiModel, Time

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(ApiModel):
    """One observation about an object. An object has at most one condition of each type."""

    type: Annotated[str, Field(max_length=64, description="Type of the condition, in CamelCase.")]
    status: Annotated[ConditionStatus, Field(description="Whether the condition holds.")]
    reason: Annotated[
        str, Field(max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9]*)$", description="Why, as one CamelCase word.")
    ]
    message: Annotated[str, Field(max_length=4096, description="Human-readable explanation.")] = ""
    observed_generation: Annotated[
        int | None, Field(description="The metadata.generation for which the condition was set.")
    ] = None
    last_transition_time: Annotated[Time, Field(description="When status last changed.")]


def find(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of that type; None if it was never set."""
    return next((condition for condition in conditions if condition.type == type_), None)


def is_true(conditions: Sequence[Condition], type_: str) -> bool:
    """Whether the condition of that type is set and True."""
    condition = find(conditions, type_)
    return condition is not None and condition.status == "True"


def merged(
    before: Sequence[Condition],
    type_: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> Condition:
    """The new condition of `type_`; lastTransitionTime changes only when status does."""
    old = find(before, type_)
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old is not None and old.status == status else now,
    )
