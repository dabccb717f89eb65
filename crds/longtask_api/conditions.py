"""Conditions, after the Kubernetes API conventions ("Typical status properties")."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from longtask_api.base import ApiModel, Time

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(ApiModel):
    """One observation about an object; at most one of each type."""

    type: Annotated[str, Field(max_length=64, description="What is observed, in CamelCase.")]
    status: Annotated[ConditionStatus, Field(description="Whether the observation holds.")]
    reason: Annotated[
        str, Field(max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9]*)$", description="Why, as one CamelCase word.")
    ]
    message: Annotated[str, Field(max_length=4096, description="Why, as a sentence for people.")] = ""
    observed_generation: Annotated[
        int | None, Field(description="The metadata.generation that this was observed from.")
    ] = None
    last_transition_time: Annotated[Time, Field(description="When status last changed.")]


def find(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of that type, if it was ever set."""
    return next((condition for condition in conditions if condition.type == type_), None)


def is_true(conditions: Sequence[Condition], type_: str) -> bool:
    """Whether the condition of that type is there and True."""
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
    """The condition as it should stand now; its transition time moves only when status does."""
    old = find(before, type_)
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old is not None and old.status == status else now,
    )
