"""A task that tells exactly what it got. Runs in a pod, where only longtask and pydantic are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

import longtask


class Colour(Enum):
    RED = "red"
    BLUE = "blü"


@dataclass(frozen=True)
class Optimizer:
    """How to step.

    Attributes:
        rate: Size of a step.
    """

    rate: Annotated[float, pydantic.Field(gt=0)]
    kind: Literal["adam", "sgd"] = "adam"
    stop: date | None = None


class Layer(pydantic.BaseModel):
    size: int
    since: date
    names: list[str] = []


@longtask.task
def described(
    text: str,
    moment: datetime,
    day: date,
    pause: timedelta,
    colour: Colour,
    optimizer: Optimizer,
    layers: tuple[Layer, ...],
    limits: dict[str, float],
    folder: Path = Path("/data"),
    seed: int | None = None,
    choice: Colour | None = Colour.BLUE,
    best: Optimizer = Optimizer(0.5),
) -> dict[str, str]:
    """Tells what it got: größer is „better“ than $(HOME).

    Args:
        text: Any text.
    """
    return told(locals())


def told(values: dict[str, Any]) -> dict[str, str]:
    """Each value as Python would write it."""
    return {name: repr(value) for name, value in values.items()}
