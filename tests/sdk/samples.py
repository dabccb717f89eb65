"""Functions whose annotations are text, as `from __future__ import annotations` makes them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, NotRequired, Required, TypedDict

import annotated_types


class Half(TypedDict, total=False):
    must: Required[int]
    may: int
    can: Annotated[NotRequired[str], "Or not."]


@dataclass
class Optimizer:
    rate: Annotated[float, annotated_types.Ge(0)]


def train(ctx: Any, model_name: str, day: date | None = None, *, optimizer: Optimizer) -> dict[str, float]:
    """Trains."""
    return {model_name: optimizer.rate}


def twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        function(*args, **kwargs)
        return function(*args, **kwargs)

    return wrapper


class Context:
    """Looks like longtask's."""


Context.__module__ = "longtask.context"


def with_context(task: Context, name: str) -> None:
    """Takes the context under another name."""


def local_class() -> Callable[..., None]:
    """A function whose annotation nobody else can find."""

    @dataclass
    class Local:
        rate: float

    def function(value: Local) -> None: ...

    return function
