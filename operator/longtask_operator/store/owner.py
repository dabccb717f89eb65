"""Whose something in the store is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Owner:
    """The LongTask that something is stored for."""

    name: str
    uid: str
